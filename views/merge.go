package views

import (
	"bytes"
	"context"
	"iter"

	"github.com/seed84377926/millrace/state"
)

// merge yields the entries that read finds in all partitions of a group, in the order of the keys that appendKey makes
// of them. Read must yield the entries of each partition in that order.
func merge[E any](
	ctx context.Context, g *groupView, appendKey func(dst []byte, e E) ([]byte, error), read func(state.Partition) iter.Seq2[E, error],
) iter.Seq2[E, error] {
	return func(yield func(E, error) bool) {
		var none E
		var heads []*mergeHead[E]
		for _, table := range g.tables {
			next, stop := iter.Pull2(read(table.rows))
			defer stop()
			head := &mergeHead[E]{next: next, appendKey: appendKey}
			if more, err := head.advance(); err != nil {
				yield(none, err)
				return
			} else if more {
				heads = append(heads, head)
			}
		}
		for len(heads) > 0 {
			if err := ctx.Err(); err != nil {
				yield(none, err)
				return
			}
			first := 0
			for i, head := range heads {
				if bytes.Compare(head.key, heads[first].key) < 0 {
					first = i
				}
			}
			if !yield(heads[first].entry, nil) {
				return
			}
			more, err := heads[first].advance()
			if err != nil {
				yield(none, err)
				return
			}
			if !more {
				heads = append(heads[:first], heads[first+1:]...)
			}
		}
	}
}

// mergeHead is the next entry of one partition.
type mergeHead[E any] struct {
	next      func() (E, error, bool)
	appendKey func(dst []byte, e E) ([]byte, error)
	entry     E
	key       []byte
}

func (h *mergeHead[E]) advance() (more bool, err error) {
	entry, err, ok := h.next()
	if err != nil || !ok {
		return false, err
	}
	h.entry = entry
	h.key, err = h.appendKey(h.key[:0], entry)
	return err == nil, err
}
