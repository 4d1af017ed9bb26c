package topology

import (
	"bytes"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology/engine"
)

// incomingSubscription is a subscription on its way to the node of the right side.
type incomingSubscription[FK any] struct {
	subscription
	foreignKey FK     // unless there is none
	encoded    []byte // the foreign key
	timestamp  int64
	headers    []engine.Header
}

// receiveSubscriptions makes n the source of the subscriptions.
func (j *foreignJoin[K, V, FK, W]) receiveSubscriptions(n *node) *port[incomingSubscription[FK]] {
	out := &port[incomingSubscription[FK]]{node: n}
	codec := j.right.keys.codec
	n.open = func(h *engine.Host, _ string) engine.Reader {
		next, in := out.receiver(h), new(incomingSubscription[FK])
		return engine.Reader{Read: func(r *engine.RawRecord) (err error) {
			h.Enter(n)
			*in = incomingSubscription[FK]{encoded: r.Key, timestamp: r.Timestamp, headers: r.Headers}
			if in.subscription, err = decodeSubscription(r.Value); err != nil {
				return h.DecodeError(n, "value", err)
			}
			if !in.noForeignKey {
				if in.foreignKey, err = codec.Decode(r.Key); err != nil {
					return h.DecodeError(n, "key", err)
				}
			}
			h.AdvanceStreamTime(r.Timestamp)
			return next(in)
		}}
	}
	return out
}

// outgoingAnswer is an answer on its way to the left side.
type outgoingAnswer[W any] struct {
	answer[W]
	partition  int32
	primaryKey []byte
	timestamp  int64
	headers    []engine.Header
}

// answer makes the node of the right side answer each subscription when it comes, and again whenever its right row
// changes.
func (j *foreignJoin[K, V, FK, W]) answer(asked *port[incomingSubscription[FK]]) *port[outgoingAnswer[W]] {
	n := j.subscriptions
	n.wantsOld = true
	store := n.keep(state.Spec{Name: n.name, Kind: state.KeyValueKind})
	j.right.view.connect(n)
	out := &port[outgoingAnswer[W]]{node: n}
	link(asked, n, func(h *engine.Host) receiver[incomingSubscription[FK]] {
		return j.answerSubscription(h, openSubscribers(h, store), out.receiver(h))
	})
	link(j.right.out, n, func(h *engine.Host) receiver[change[FK, W]] {
		return j.answerSubscribers(h, openSubscribers(h, store), out.receiver(h))
	})
	return out
}

// openSubscribers opens the store of subscriptions in the task of h. All callers get the same store.
func openSubscribers(h *engine.Host, store *storeInfo) *state.KeyValue[[]byte, subscriber] {
	return engine.Once(h, store, func() *state.KeyValue[[]byte, subscriber] {
		rows, err := state.NewKeyValue(store.spec.Name, h.State(), h.Budget(), codecs.Bytes, codecs.Codec[subscriber](subscriberCodec{}))
		if err != nil {
			h.Fail(err)
			return nil
		}
		h.AddStore(rows)
		return rows
	})
}

func (j *foreignJoin[K, V, FK, W]) answerSubscription(
	h *engine.Host, subscribers *state.KeyValue[[]byte, subscriber], next receiver[outgoingAnswer[W]],
) receiver[incomingSubscription[FK]] {
	n, rows := j.subscriptions, j.right.view.open(h)
	var scratch []byte
	a := new(outgoingAnswer[W])
	return func(in *incomingSubscription[FK]) (err error) {
		h.Enter(n)
		*a = outgoingAnswer[W]{partition: in.partition, primaryKey: in.primaryKey, timestamp: in.timestamp, headers: in.headers}
		a.hash = in.hash
		if !in.noForeignKey {
			scratch = append(appendSubscribersPrefix(scratch[:0], in.encoded), in.primaryKey...)
			if in.instruction.deletes() {
				err = subscribers.DeleteEncoded(scratch)
			} else {
				err = subscribers.PutEncoded(scratch, subscriber{sum: in.hash.sum, partition: in.partition}, in.timestamp)
			}
			if err != nil {
				return h.NodeError(n, err)
			}
			if in.instruction == deleteKeyNoPropagate {
				return nil
			}
			row, timestamp, ok, err := rows(in.foreignKey, in.encoded)
			if err != nil {
				return h.NodeError(n, err)
			}
			if ok {
				a.timestamp = max(a.timestamp, timestamp)
			}
			if ok && in.instruction != deleteKeyAndPropagate {
				a.value, a.found = row, true
			}
		}
		// Kafka Streams sends no answer then: it assumes that there is no result. But a result may be on its way, and
		// nothing would retract it.
		a.retract = !a.found && in.instruction == propagateOnlyIfAvailable
		return next(a)
	}
}

func (j *foreignJoin[K, V, FK, W]) answerSubscribers(
	h *engine.Host, subscribers *state.KeyValue[[]byte, subscriber], next receiver[outgoingAnswer[W]],
) receiver[change[FK, W]] {
	n, keys := j.subscriptions, j.right.keys
	var scratch []byte
	a := new(outgoingAnswer[W])
	return func(c *change[FK, W]) error {
		h.Enter(n)
		if c.Stale {
			h.Drop(n, DropStale, c.Timestamp)
			return nil
		}
		encoded, err := keys.encode(h, n, c.key, c.Key)
		if err != nil {
			return err
		}
		scratch = appendSubscribersPrefix(scratch[:0], encoded)
		size := len(scratch)
		low, high := scratch, prefixEnd(bytes.Clone(scratch))
		for row, err := range subscribers.Range(&low, &high) {
			if err != nil {
				return h.NodeError(n, err)
			}
			*a = outgoingAnswer[W]{
				partition: row.Value.partition, primaryKey: row.Key[size:], timestamp: c.Timestamp, headers: c.Headers,
			}
			a.answer = answer[W]{hash: valueHash{sum: row.Value.sum, known: true}, value: c.New, found: c.HasNew}
			if err := next(a); err != nil {
				return err
			}
		}
		return nil
	}
}

// reply makes n send each answer to the partition of the left row whose question it answers.
func (j *foreignJoin[K, V, FK, W]) reply(n *node, answers *port[outgoingAnswer[W]]) {
	values := j.right.view.value
	link(answers, n, func(h *engine.Host) receiver[outgoingAnswer[W]] {
		return func(a *outgoingAnswer[W]) error {
			h.Enter(n)
			room := h.Arena().Room()
			key := h.Arena().Use(room, append(room, a.primaryKey...))
			room = h.Arena().Room()
			value, err := a.append(room, values)
			if err != nil {
				return h.RecordError(n, err)
			}
			r := engine.RawRecord{Key: key, Value: h.Arena().Use(room, value), Timestamp: a.timestamp, Headers: a.headers}
			r.Pinned, r.Partition = true, a.partition
			return h.Send(n, n.topic, r)
		}
	})
}
