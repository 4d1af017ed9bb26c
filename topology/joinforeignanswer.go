package topology

import (
	"bytes"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

// incomingSubscription is a subscription on its way to the node of the right side.
type incomingSubscription[FK any] struct {
	subscription
	foreignKey FK     // unless there is none
	encoded    []byte // the foreign key
	timestamp  int64
	headers    []Header
}

// receiveSubscriptions makes n the source of the subscriptions.
func (j *foreignJoin[K, V, FK, W]) receiveSubscriptions(n *node) *port[incomingSubscription[FK]] {
	out := &port[incomingSubscription[FK]]{node: n}
	codec := j.right.keys.codec
	n.open = func(t *Task, _ string) rawReceiver {
		next, in := out.receiver(t), new(incomingSubscription[FK])
		return func(r *RawRecord) (err error) {
			t.at = n
			*in = incomingSubscription[FK]{encoded: r.Key, timestamp: r.Timestamp, headers: r.Headers}
			if in.subscription, err = decodeSubscription(r.Value); err != nil {
				return t.decodeError(n, "value", err)
			}
			if !in.noForeignKey {
				if in.foreignKey, err = codec.Decode(r.Key); err != nil {
					return t.decodeError(n, "key", err)
				}
			}
			t.time.advance(r.Timestamp)
			return next(in)
		}
	}
	return out
}

// outgoingAnswer is an answer on its way to the left side.
type outgoingAnswer[W any] struct {
	answer[W]
	partition  int32
	primaryKey []byte
	timestamp  int64
	headers    []Header
}

// answer makes the node of the right side answer subscriptions when they come, and again when the row that they refer to
// changes.
func (j *foreignJoin[K, V, FK, W]) answer(asked *port[incomingSubscription[FK]]) *port[outgoingAnswer[W]] {
	n := j.subscriptions
	n.wantsOld = true
	store := n.keep(state.Spec{Name: n.name, Kind: state.KeyValueKind})
	j.right.view.connect(n)
	out := &port[outgoingAnswer[W]]{node: n}
	link(asked, n, func(t *Task) receiver[incomingSubscription[FK]] {
		return j.answerSubscription(t, openSubscribers(t, store), out.receiver(t))
	})
	link(j.right.out, n, func(t *Task) receiver[change[FK, W]] {
		return j.answerSubscribers(t, openSubscribers(t, store), out.receiver(t))
	})
	return out
}

// openSubscribers opens the store of subscriptions in t, the same to all who ask.
func openSubscribers(t *Task, store *storeInfo) *state.KeyValue[[]byte, subscriber] {
	return once(t, store, func() *state.KeyValue[[]byte, subscriber] {
		rows, err := state.NewKeyValue(store.spec.Name, t.cfg.State, t.cfg.Budget, codecs.Bytes, codecs.Codec[subscriber](subscriberCodec{}))
		if err != nil {
			t.fail(err)
			return nil
		}
		t.stores = append(t.stores, rows)
		return rows
	})
}

func (j *foreignJoin[K, V, FK, W]) answerSubscription(
	t *Task, subscribers *state.KeyValue[[]byte, subscriber], next receiver[outgoingAnswer[W]],
) receiver[incomingSubscription[FK]] {
	n, rows := j.subscriptions, j.right.view.open(t)
	var scratch []byte
	a := new(outgoingAnswer[W])
	return func(in *incomingSubscription[FK]) (err error) {
		t.at = n
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
				return t.nodeError(n, err)
			}
			if in.instruction == deleteKeyNoPropagate {
				return nil
			}
			row, timestamp, ok, err := rows(in.foreignKey, in.encoded)
			if err != nil {
				return t.nodeError(n, err)
			}
			if ok {
				a.timestamp = max(a.timestamp, timestamp)
			}
			if ok && in.instruction != deleteKeyAndPropagate {
				a.value, a.found = row, true
			}
		}
		// Kafka Streams says nothing then: it takes for granted that there is no result, although one may be on its way that
		// nobody would take back.
		a.retract = !a.found && in.instruction == propagateOnlyIfAvailable
		return next(a)
	}
}

func (j *foreignJoin[K, V, FK, W]) answerSubscribers(
	t *Task, subscribers *state.KeyValue[[]byte, subscriber], next receiver[outgoingAnswer[W]],
) receiver[change[FK, W]] {
	n, keys := j.subscriptions, j.right.keys
	var scratch []byte
	a := new(outgoingAnswer[W])
	return func(c *change[FK, W]) error {
		t.at = n
		if c.Stale {
			t.drop(n, DropStale)
			return nil
		}
		encoded, err := keys.encode(t, n, c.key, c.Key)
		if err != nil {
			return err
		}
		scratch = appendSubscribersPrefix(scratch[:0], encoded)
		size := len(scratch)
		low, high := scratch, prefixEnd(bytes.Clone(scratch))
		for row, err := range subscribers.Range(&low, &high) {
			if err != nil {
				return t.nodeError(n, err)
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

// reply makes n send the answers to the partitions that the rows are in.
func (j *foreignJoin[K, V, FK, W]) reply(n *node, answers *port[outgoingAnswer[W]]) {
	values := j.right.view.value
	link(answers, n, func(t *Task) receiver[outgoingAnswer[W]] {
		return func(a *outgoingAnswer[W]) error {
			t.at = n
			room := t.arena.room()
			key := t.arena.use(room, append(room, a.primaryKey...))
			room = t.arena.room()
			value, err := a.append(room, values)
			if err != nil {
				return t.recordError(n, err)
			}
			r := RawRecord{Key: key, Value: t.arena.use(room, value), Timestamp: a.timestamp, Headers: a.headers}
			r.Pinned, r.Partition = true, a.partition
			t.arena.keep()
			if err := t.cfg.Sink.Send(n.topic, r); err != nil {
				return t.nodeError(n, err)
			}
			return nil
		}
	})
}
