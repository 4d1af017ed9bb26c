package topology

import (
	"bytes"
	"fmt"
	"math"
	"runtime/debug"
	"slices"
)

// indexBuilder is an index that may have to be built from rows that were there before it.
type indexBuilder interface {
	// built reports whether nothing is left to do.
	built() bool
	// build puts at most limit more rows into the index and returns how many.
	build(limit int) (rows int, err error)
}

// Building reports whether there are indexes which are not built from all rows yet, see [Task.BuildIndexes].
func (t *Task) Building() bool { return t.unbuilt }

// BuildIndexes builds indexes that were added to tables with rows: it puts at most limit more rows into them and returns how many,
// 0 if all are built. The owner calls it before the first record and commits after each call, so that what is not committed stays
// small; Process does the rest at once. What was committed needs not be done again by a task that goes on.
func (t *Task) BuildIndexes(limit int) (rows int, err error) {
	for _, x := range t.indexes {
		if rows >= limit {
			break
		}
		n, err := x.build(limit - rows)
		rows += n
		if err != nil {
			return rows, fmt.Errorf("sub-topology %q: partition %d: %w", t.sub.name, t.cfg.Partition, err)
		}
	}
	t.findUnbuilt()
	return rows, nil
}

// buildRest builds what the owner has not built.
func (t *Task) buildRest() error {
	if !t.unbuilt {
		return nil
	}
	_, err := t.BuildIndexes(math.MaxInt)
	return err
}

func (t *Task) findUnbuilt() {
	t.unbuilt = slices.ContainsFunc(t.indexes, func(x indexBuilder) bool { return !x.built() })
}

func (x *indexer[I, K, V]) built() bool {
	complete, _ := x.rows.Built()
	return complete
}

func (x *indexer[I, K, V]) build(limit int) (rows int, err error) {
	complete, upTo := x.rows.Built()
	if complete {
		return 0, nil
	}
	var from *K
	keys := x.table.keys.codec
	if upTo != nil {
		key, err := keys.Decode(upTo)
		if err != nil {
			return 0, fmt.Errorf("build index %q: key %q: %w", x.n.name, upTo, err)
		}
		from = &key
	}
	for e, err := range x.table.view.table.committed(x.t, from) {
		if err != nil {
			return rows, fmt.Errorf("build index %q: %w", x.n.name, err)
		}
		x.t.arena.begin()
		key, err := encode(&x.t.arena, keys, e.Key)
		switch {
		case err != nil:
		case bytes.Equal(key, upTo): // the first one again
		case rows == limit:
			x.t.arena.end()
			return rows, nil
		default:
			err = x.put(key, e.Key, e.Value, e.Timestamp)
			upTo = bytes.Clone(key)
			x.rows.BuiltUpTo(upTo)
			rows++
		}
		x.t.arena.end()
		if err != nil {
			return rows, fmt.Errorf("build index %q: row %q: %w; correct the function of the index", x.n.name, key, err)
		}
	}
	x.rows.BuiltAll()
	return rows, nil
}

// put puts a row into the index.
func (x *indexer[I, K, V]) put(encoded []byte, key K, value V, timestamp int64) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	x.before = x.before[:0]
	if x.after, err = x.keys(x.after[:0], key, value); err == nil {
		x.replace(encoded, timestamp)
	}
	return err
}
