package topology

import (
	"errors"
	"fmt"
	"slices"

	"github.com/seed84377926/millrace/topology/engine"
)

// TableRows reads the rows of a table or global table in a processor. It belongs to the goroutine of the task.
type TableRows[K, V any] struct {
	sc   *scope
	keys keying[K]
	rows lookup[K, V]
}

// In opens the table for reading where a processor is created. The processor and the table then run in one
// sub-topology, and must be partitioned alike: the processor sees the rows of its own partition.
func (t Table[K, V]) In(p ProcessorScope) TableRows[K, V] {
	n, sc := t.out.node, p.scopeOf()
	return openIn(sc, t.out, fmt.Sprintf("the table of %s", n.label()), func() (TableRows[K, V], bool) {
		if sc.h.Trial() {
			if !sc.n.sameBuilder(n) {
				return TableRows[K, V]{}, false
			}
			t.keys.copartitioned(sc.n)
			t.view.connect(sc.n)
		}
		for _, store := range t.view.stores {
			if !slices.Contains(sc.n.stores, store) {
				return TableRows[K, V]{}, false
			}
		}
		return TableRows[K, V]{sc, t.keys, t.view.open(sc.h)}, true
	})
}

// Get returns the row of key as it is now: its value and timestamp in milliseconds, and false if there is none.
func (r TableRows[K, V]) Get(key K) (value V, timestamp int64, ok bool, err error) {
	encoded, err := engine.Encode(r.sc.h.Arena(), r.keys.codec, key)
	if err != nil {
		return value, 0, false, err
	}
	if value, timestamp, ok, err = r.rows(key, encoded); err != nil {
		if _, undecodable := errors.AsType[*globalRowError](err); !undecodable {
			r.sc.h.StateFailed(err)
		}
	}
	return value, timestamp, ok, err
}
