package topology

import "github.com/seed84377926/millrace/topology/engine"

// incomingAnswer is an answer on its way to the row that asked.
type incomingAnswer[K, W any] struct {
	answer[W]
	primaryKey K
	timestamp  int64
	headers    []engine.Header
}

// receiveAnswers makes n the source of the answers.
func (j *foreignJoin[K, V, FK, W]) receiveAnswers(n *node) *port[incomingAnswer[K, W]] {
	out := &port[incomingAnswer[K, W]]{node: n}
	keys, values := j.left.keys.codec, j.right.view.value
	n.open = func(h *engine.Host, _ string) engine.Reader {
		next, in := out.receiver(h), new(incomingAnswer[K, W])
		return engine.Reader{Read: func(r *engine.RawRecord) (err error) {
			h.Enter(n)
			*in = incomingAnswer[K, W]{timestamp: r.Timestamp, headers: r.Headers}
			if in.primaryKey, err = keys.Decode(r.Key); err != nil {
				return h.DecodeError(n, "key", err)
			}
			if in.answer, err = decodeAnswer(r.Value, values); err != nil {
				return h.DecodeError(n, "value", err)
			}
			h.AdvanceStreamTime(r.Timestamp)
			return next(in)
		}}
	}
	return out
}

// resolve makes results from the answers that are not out of date.
func (j *foreignJoin[K, V, FK, W]) resolve[R any](
	h *engine.Host, rows *tableStore[K, R], join func(V, *W) R, next receiver[change[K, R]],
) receiver[incomingAnswer[K, W]] {
	n, keys, values := j.node, j.left.keys, j.left.view.value
	left, results := j.left.view.open(h), rows.open(h)
	c, memo := new(change[K, R]), new(encodedKey)
	var scratch []byte
	return func(in *incomingAnswer[K, W]) error {
		h.Enter(n)
		memo.reset()
		encoded, err := keys.encode(h, n, memo, in.primaryKey)
		if err != nil {
			return err
		}
		value, _, exists, err := left(in.primaryKey, encoded)
		if err != nil {
			return h.NodeError(n, err)
		}
		var now valueHash
		if exists {
			if scratch, err = values.Append(scratch[:0], value); err != nil {
				return h.RecordError(n, err)
			}
			now = hashValue(scratch)
		}
		if now != in.hash {
			h.Drop(n, DropOutdated, in.timestamp)
			return nil
		}
		*c = change[K, R]{Key: in.primaryKey, Timestamp: in.timestamp, Headers: in.headers, key: memo}
		if c.Old, _, c.HasOld, err = results.get(encoded); err != nil {
			return h.NodeError(n, err)
		}
		if in.retract && !c.HasOld {
			return nil
		}
		switch {
		case in.found:
			c.New, c.HasNew = join(value, &in.value), true
		case j.all && exists:
			c.New, c.HasNew = join(value, nil), true
		}
		if _, err := results.set(encoded, c); err != nil {
			return h.NodeError(n, err)
		}
		return next(c)
	}
}

// retract deletes the result of a row that had no foreign key before it changed, and has none now. There is such a
// result only if the answer to an earlier change is on its way; it is out of date now. Kafka Streams keeps the result
// forever.
func (j *foreignJoin[K, V, FK, W]) retract[R any](
	h *engine.Host, rows *tableStore[K, R], foreignKey func(K, V) (FK, bool), next receiver[change[K, R]],
) receiver[change[K, V]] {
	n, keys, results := j.node, j.left.keys, rows.open(h)
	refers := func(key K, value V, exists bool) bool {
		if !exists {
			return false
		}
		_, ok := foreignKey(key, value)
		return ok
	}
	gone := new(change[K, R])
	return func(c *change[K, V]) error {
		h.Enter(n)
		if c.Stale || refers(c.Key, c.New, c.HasNew) || refers(c.Key, c.Old, c.HasOld && !c.Began) {
			return nil
		}
		encoded, err := keys.encode(h, n, c.key, c.Key)
		if err != nil {
			return err
		}
		*gone = change[K, R]{Key: c.Key, Timestamp: c.Timestamp, Headers: c.Headers, key: c.key}
		if gone.Old, _, gone.HasOld, err = results.get(encoded); err != nil {
			return h.NodeError(n, err)
		}
		if !gone.HasOld {
			return nil
		}
		if _, err := results.set(encoded, gone); err != nil {
			return h.NodeError(n, err)
		}
		return next(gone)
	}
}
