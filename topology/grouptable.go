package topology

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology/engine"
)

// GroupedTable is a table whose rows are grouped by a new key, ready to be aggregated: when a row changes, its old
// value is taken out of the aggregate and its new value is put in. It is made by [Table.GroupBy].
type GroupedTable[K, V any] struct {
	updates Stream[K, update[V]]
	value   codecs.Codec[V]
}

// update is a change of the rows of a group: a value comes, a value goes, or both. If it has neither, it is the first
// record of an aggregation, whose initial value belongs to the group: Kafka Streams takes this value out of the
// aggregate although it was never put in. We do not, but we forward the deletion of a group that has no aggregate, as
// Kafka Streams does.
type update[V any] struct {
	old, new       V
	hasOld, hasNew bool
}

// GroupBy groups the rows by a new key and gives each a new value: f makes both from the row. The updates go through
// the topic <app>-<name>-repartition. If f makes the same key from the old and the new row, one record carries both and
// the aggregate is updated once (KIP-904). Otherwise the old value goes before the new one comes. To leave rows out,
// call [Table.Filter] before.
//
// Updates of the history of a versioned table are dropped ([DropStale]).
func (t Table[K, V]) GroupBy[K2, V2 any](
	name string, f func(key K, value V) (K2, V2), key codecs.Codec[K2], value codecs.Codec[V2], opts ...RepartitionOption,
) GroupedTable[K2, V2] {
	n := t.graph().node("group-by", nil)
	n.require(f != nil, "function")
	n.wantsOld = true
	keys := keying[K2]{codec: key, changed: n.site}
	out := then(t.out, n, func(h *engine.Host, next receiver[item[K2, update[V2]]]) receiver[change[K, V]] {
		before, after := &item[K2, update[V2]]{key: new(encodedKey)}, &item[K2, update[V2]]{key: new(encodedKey)}
		return func(c *change[K, V]) (err error) {
			h.Enter(n)
			if c.Stale {
				h.Drop(n, DropStale, c.Timestamp)
				return nil
			}
			if c.HasOld {
				before.key.reset()
				before.Record = Record[K2, update[V2]]{Timestamp: c.Timestamp, Headers: c.Headers}
				before.Key, before.Value.old = f(c.Key, c.Old)
				before.Value.hasOld = !c.Began
			}
			if c.HasNew {
				after.key.reset()
				after.Record = Record[K2, update[V2]]{Timestamp: c.Timestamp, Headers: c.Headers}
				after.Value.hasNew = true
				after.Key, after.Value.new = f(c.Key, c.New)
			}
			if c.HasOld && c.HasNew {
				same, err := sameKey(h, n, keys, before, after)
				if err != nil {
					return err
				}
				if same {
					after.Value.old, after.Value.hasOld = before.Value.old, before.Value.hasOld
					return next(after)
				}
			}
			if c.HasOld {
				if err := next(before); err != nil {
					return err
				}
			}
			if c.HasNew {
				return next(after)
			}
			return nil
		}
	})
	var updates codecs.Codec[update[V2]]
	if value != nil {
		updates = updateCodec[V2]{value}
	}
	mapped := Stream[K2, update[V2]]{out: out, keys: keys}
	return GroupedTable[K2, V2]{updates: through(mapped, "group-by", name, key, updates, opts), value: value}
}

// sameKey reports whether two records have the same key.
func sameKey[K, V any](h *engine.Host, n *node, keys keying[K], a, b *item[K, V]) (bool, error) {
	first, err := keys.encode(h, n, a.key, a.Key)
	if err != nil {
		return false, err
	}
	second, err := keys.encode(h, n, b.key, b.Key)
	return bytes.Equal(first, second), err
}

func (g GroupedTable[K, V]) graph() *graph {
	if g.updates.out == nil {
		panic("topology: method of the zero GroupedTable called; grouped tables are made by Table.GroupBy")
	}
	return g.updates.out.node.graph
}

// updateCodec encodes updates: a byte that says which values follow, then the values. If there are both, the length of
// the new one comes before them.
type updateCodec[V any] struct{ value codecs.Codec[V] }

const (
	updateNone = 0x00
	updateNew  = 0x01
	updateOld  = 0x02
	updateBoth = updateNew | updateOld
)

var (
	errBadUpdate  = errors.New("an update of a grouped table starts with a byte from 0x00 to 0x03, and 0x00 is all of it")
	errLongUpdate = errors.New("the new value of an update of a grouped table is longer than the update")
)

// Append implements codecs.Codec.
func (c updateCodec[V]) Append(dst []byte, u update[V]) ([]byte, error) {
	switch {
	case u.hasNew && u.hasOld:
		return c.appendBoth(dst, u)
	case u.hasNew:
		return c.appendOne(dst, updateNew, u.new)
	case u.hasOld:
		return c.appendOne(dst, updateOld, u.old)
	default:
		return append(dst, updateNone), nil
	}
}

func (c updateCodec[V]) appendOne(dst []byte, kind byte, value V) ([]byte, error) {
	data, err := c.value.Append(append(dst, kind), value)
	if err != nil {
		return dst, err
	}
	return data, nil
}

func (c updateCodec[V]) appendBoth(dst []byte, u update[V]) ([]byte, error) {
	data := append(dst, updateBoth)
	start := len(data)
	data, err := c.value.Append(data, u.new)
	if err != nil {
		return dst, fmt.Errorf("new value: %w", err)
	}
	// The length goes before the new value.
	var length [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(length[:], uint64(len(data)-start))
	data = append(data, length[:n]...)
	copy(data[start+n:], data[start:len(data)-n])
	copy(data[start:], length[:n])
	if data, err = c.value.Append(data, u.old); err != nil {
		return dst, fmt.Errorf("old value: %w", err)
	}
	return data, nil
}

// Decode implements codecs.Codec.
func (c updateCodec[V]) Decode(data []byte) (u update[V], err error) {
	if len(data) == 0 || data[0] > updateBoth || data[0] == updateNone && len(data) > 1 {
		return u, errBadUpdate
	}
	u.hasNew, u.hasOld = data[0]&updateNew != 0, data[0]&updateOld != 0
	data = data[1:]
	rest := data
	if u.hasNew && u.hasOld {
		length, n := binary.Uvarint(data)
		if n <= 0 || length > uint64(len(data)-n) {
			return u, errLongUpdate
		}
		data, rest = data[n:n+int(length):n+int(length)], data[n+int(length):]
	}
	if u.hasNew {
		if u.new, err = c.value.Decode(data); err != nil {
			return u, fmt.Errorf("new value: %w", err)
		}
	}
	if u.hasOld {
		if u.old, err = c.value.Decode(rest); err != nil {
			return u, fmt.Errorf("old value: %w", err)
		}
	}
	return u, nil
}
