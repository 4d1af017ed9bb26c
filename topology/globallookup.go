package topology

import (
	"bytes"
	"fmt"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/internal/murmur2"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology/engine"
)

const (
	// globalSlots is how many decoded rows a task keeps of a global table.
	globalSlots = 1024
	// maxGlobalSlot is how large an encoded row may be that is kept.
	maxGlobalSlot = 4 << 10
)

// globalLookup reads a global table in a task. It keeps some rows decoded. A row that has not changed is not decoded
// again, and it is not even looked up if the table has not changed.
type globalLookup[K, V any] struct {
	name  string
	rows  engine.GlobalRows
	value codecs.Codec[V]
	slots []globalSlot[V] // each is for the keys with one hash
	key   []byte          // scratch, after the name of the table
	own   int             // length of that
	row   []byte          // scratch
}

// globalSlot is a row, or the fact that there is none.
type globalSlot[V any] struct {
	used      bool
	version   uint64
	key, row  []byte
	present   bool
	value     V
	timestamp int64
}

// openGlobal returns the lookup by which the task of h reads a global table. All callers get the same lookup.
func openGlobal[K, V any](h *engine.Host, global *node, value codecs.Codec[V]) lookup[K, V] {
	l := engine.Once(h, global, func() *globalLookup[K, V] {
		l := &globalLookup[K, V]{name: global.name, value: value, slots: make([]globalSlot[V], globalSlots)}
		l.key = state.AppendRowKey(nil, l.name, nil)
		l.own = len(l.key)
		if l.rows = h.Globals(l.name); l.rows == nil {
			h.Fail(fmt.Errorf("TaskConfig.Globals has no rows of global table %q", l.name))
		}
		return l
	})
	return l.get
}

func (l *globalLookup[K, V]) get(_ K, encoded []byte) (value V, timestamp int64, ok bool, err error) {
	slot := &l.slots[murmur2.Sum(encoded)%globalSlots]
	known := slot.used && bytes.Equal(slot.key, encoded)
	version := l.rows.Version() // before the row is read, which may be newer
	if known && slot.version == version {
		return slot.value, slot.timestamp, slot.present, nil
	}
	l.key = append(l.key[:l.own], encoded...)
	row, ok, err := l.rows.Get(l.row[:0], l.key)
	if err != nil {
		return value, 0, false, fmt.Errorf("global table %q: %w", l.name, err)
	}
	l.row = row
	if known && ok == slot.present && bytes.Equal(row, slot.row) {
		slot.version = version
		return slot.value, slot.timestamp, slot.present, nil
	}
	if ok {
		if value, timestamp, err = l.decode(row); err != nil {
			return value, 0, false, err
		}
	}
	if len(encoded)+len(row) > maxGlobalSlot {
		return value, timestamp, ok, nil
	}
	*slot = globalSlot[V]{
		used: true, version: version, key: append(slot.key[:0], encoded...), row: append(slot.row[:0], row...),
		present: ok, value: value, timestamp: timestamp,
	}
	return value, timestamp, ok, nil
}

func (l *globalLookup[K, V]) decode(row []byte) (value V, timestamp int64, err error) {
	timestamp, data, err := state.SplitRowValue(row)
	if err == nil {
		value, err = l.value.Decode(data)
	}
	if err != nil {
		return value, 0, &globalRowError{fmt.Errorf("row of global table %q cannot be decoded: %w", l.name, err)}
	}
	return value, timestamp, nil
}

// globalRowError says that the codec cannot decode a row: a retry does not help.
type globalRowError struct{ err error }

func (e *globalRowError) Error() string { return e.err.Error() }
func (e *globalRowError) Unwrap() error { return e.err }
