package topology

import (
	"bytes"

	"github.com/seed84377926/millrace/topology/engine"
)

// ask makes n send the foreign keys of the left rows to the right side.
func (j *foreignJoin[K, V, FK, W]) ask(n *node, foreignKey func(K, V) (FK, bool)) {
	n.wantsOld = true
	keys, values := j.left.keys, j.left.view.value
	inner, _ := j.right.keys.codec.(innerKeyer)
	link(j.left.out, n, func(h *engine.Host) receiver[change[K, V]] {
		a := &asker{h: h, n: n, inner: inner, partition: h.Partition()}
		var scratch []byte
		// find returns the encoded foreign key of a value, nil if there is none.
		find := func(key K, value V, exists bool) ([]byte, error) {
			if !exists {
				return nil, nil
			}
			foreign, ok := foreignKey(key, value)
			if !ok {
				return nil, nil
			}
			encoded, err := engine.Encode(h.Arena(), j.right.keys.codec, foreign)
			if err != nil {
				return nil, h.RecordError(n, err)
			}
			return encoded, nil
		}
		return func(c *change[K, V]) (err error) {
			h.Enter(n)
			if c.Stale {
				h.Drop(n, DropStale, c.Timestamp)
				return nil
			}
			hadRow := c.HasOld && !c.Began
			if !hadRow && !c.HasNew {
				return nil
			}
			a.timestamp, a.headers, a.hash = c.Timestamp, c.Headers, valueHash{}
			if a.primaryKey, err = keys.encode(h, n, c.key, c.Key); err != nil {
				return err
			}
			before, err := find(c.Key, c.Old, hadRow)
			if err != nil {
				return err
			}
			now, err := find(c.Key, c.New, c.HasNew)
			if err != nil {
				return err
			}
			if c.HasNew {
				if scratch, err = values.Append(scratch[:0], c.New); err != nil {
					return h.RecordError(n, err)
				}
				a.hash = hashValue(scratch)
			}
			if j.all {
				return a.askAlways(before, now)
			}
			if c.HasNew && now == nil {
				h.Drop(n, DropNullForeignKey, c.Timestamp)
			}
			return a.askIfReferring(before, now)
		}
	})
}

// asker sends subscriptions of the row that changed.
type asker struct {
	h          *engine.Host
	n          *node
	inner      innerKeyer // of foreign keys that are not partitioned by all of their bytes
	partition  int32
	timestamp  int64
	headers    []engine.Header
	hash       valueHash
	primaryKey []byte
}

// askIfReferring sends what an inner join needs. Before and now are encoded foreign keys, nil if there is none.
func (a *asker) askIfReferring(before, now []byte) error {
	switch {
	case before == nil && now == nil:
		return nil // see retract
	case before == nil:
		return a.send(now, propagateOnlyIfAvailable)
	case now == nil:
		return a.send(before, deleteKeyAndPropagate)
	case bytes.Equal(before, now):
		return a.send(now, propagateOnlyIfAvailable)
	}
	if err := a.send(before, deleteKeyNoPropagate); err != nil {
		return err
	}
	return a.send(now, propagateNullIfNoValue)
}

// askAlways sends what a left join needs: there is an answer to each change.
func (a *asker) askAlways(before, now []byte) error {
	if before != nil && (now == nil || !bytes.Equal(before, now)) {
		if err := a.send(before, deleteKeyNoPropagate); err != nil {
			return err
		}
	}
	return a.send(now, propagateNullIfNoValue)
}

func (a *asker) send(foreignKey []byte, what instruction) error {
	s := subscription{
		instruction: what, noForeignKey: foreignKey == nil, hash: a.hash, partition: a.partition, primaryKey: a.primaryKey,
	}
	room := a.h.Arena().Room()
	r := engine.RawRecord{Key: foreignKey, Value: a.h.Arena().Use(room, s.append(room)), Timestamp: a.timestamp, Headers: a.headers}
	switch {
	case s.noForeignKey:
		r.Key = a.primaryKey // any task of the right side can answer
	case a.inner != nil:
		r.PartitionKey = a.inner.innerKey(foreignKey)
	}
	return a.h.Send(a.n, a.n.topic, r)
}
