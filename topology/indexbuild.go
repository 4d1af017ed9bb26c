package topology

import (
	"bytes"
	"fmt"
	"runtime/debug"

	"github.com/seed84377926/millrace/topology/engine"
)

// Prepared reports whether the index is built from all rows that were in the table before it.
func (x *indexer[I, K, V]) Prepared() bool {
	complete, _ := x.rows.Built()
	return complete
}

// Prepare builds the index from at most limit more rows.
func (x *indexer[I, K, V]) Prepare(limit int) (rows int, err error) {
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
	for e, err := range x.table.view.committed(x.h, from) {
		if err != nil {
			return rows, fmt.Errorf("build index %q: %w", x.n.name, err)
		}
		full := false
		if err := x.h.Unit(func() error {
			key, err := engine.Encode(x.h.Arena(), keys, e.Key)
			switch {
			case err != nil:
			case bytes.Equal(key, upTo): // the first one again
			case rows == limit:
				full = true
			default:
				err = x.put(key, e.Key, e.Value, e.Timestamp)
				upTo = bytes.Clone(key)
				x.rows.BuiltUpTo(upTo)
				rows++
			}
			if err != nil {
				return fmt.Errorf("build index %q: row %q: %w; correct the function of the index", x.n.name, key, err)
			}
			return nil
		}); err != nil || full {
			return rows, err
		}
	}
	x.rows.BuiltAll()
	return rows, nil
}

// put puts a row into the index.
func (x *indexer[I, K, V]) put(encoded []byte, key K, value V, timestamp int64) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &engine.PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	x.before = x.before[:0]
	if x.after, err = x.keys(x.after[:0], key, value); err == nil {
		x.replace(encoded, timestamp)
	}
	return err
}
