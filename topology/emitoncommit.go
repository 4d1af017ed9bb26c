package topology

import (
	"cmp"
	"slices"

	"github.com/seed84377926/millrace/topology/engine"
)

// EmitOnCommit forwards one change of each key at each commit instead of every change: from the value at the last
// commit to the latest one, with its timestamp and headers. A key that had no row at the last commit and has none now
// is left out. The changes come in the order in which the keys were changed last. The longer the commit interval is,
// the fewer and the later are the records that come downstream, to topics as well. An operator that joins with the
// table sees its latest rows (docs/semantics.md, One change for each commit).
//
// This is what the record caches of Kafka Streams do, which millrace's caches don't. Since what is forwarded depends on
// when tasks commit, the same input may give other intermediate results; the last one of each key is the same.
func (t Table[K, V]) EmitOnCommit(opts ...NodeOption) Table[K, V] {
	n := t.graph().node("emit-on-commit", opts)
	n.wantsOld = true
	if t.view.history != nil {
		n.graph.errorf(n, "a versioned table forwards updates of its history as well, of which there may be several for a key")
	}
	out := then(t.out, n, func(h *engine.Host, next receiver[change[K, V]]) receiver[change[K, V]] {
		e := &latestChanges[K, V]{h: h, n: n, keys: t.keys, next: next, changes: make(map[string]*latestChange[K, V])}
		h.AddHolder(e)
		return e.take
	})
	return Table[K, V]{out: out, keys: t.keys, view: t.view}
}

// latestChanges holds the latest change of each key.
type latestChanges[K, V any] struct {
	h       *engine.Host
	n       *node
	keys    keying[K]
	next    receiver[change[K, V]]
	changes map[string]*latestChange[K, V]
	taken   int // numbers changes
	bytes   int64
	own     encodedKey
}

// latestChange is the change of a key since the last commit. Its old value is the value at that commit.
type latestChange[K, V any] struct {
	change[K, V]
	encoded string
	number  int
}

// heldOverhead is about how many bytes a held change takes besides its key and values.
const heldOverhead = 256

func (l *latestChanges[K, V]) take(c *change[K, V]) error {
	l.h.Enter(l.n)
	encoded, err := l.keys.encode(l.h, l.n, c.key, c.Key)
	if err != nil {
		return err
	}
	held := l.changes[string(encoded)]
	if held == nil {
		held = &latestChange[K, V]{change: *c, encoded: string(encoded)}
		held.key = nil
		if held.Began { // the old value is the initial value of an aggregation, and not a row
			var none V
			held.Old, held.HasOld, held.Began = none, false, false
		}
		l.changes[held.encoded] = held
		l.bytes += heldOverhead + int64(len(encoded))
	}
	held.New, held.HasNew, held.Timestamp, held.Headers = c.New, c.HasNew, c.Timestamp, c.Headers
	l.taken++
	held.number = l.taken
	return nil
}

// Release implements engine.Holder.
func (l *latestChanges[K, V]) Release() error {
	all := make([]*latestChange[K, V], 0, len(l.changes))
	for _, held := range l.changes {
		if held.HasOld || held.HasNew {
			all = append(all, held)
		}
	}
	slices.SortFunc(all, func(a, b *latestChange[K, V]) int { return cmp.Compare(a.number, b.number) })
	l.Forget()
	for _, held := range all {
		l.own.reset()
		held.key = &l.own
		if err := l.next(&held.change); err != nil {
			return err
		}
	}
	return nil
}

// Forget implements engine.Holder.
func (l *latestChanges[K, V]) Forget() {
	clear(l.changes)
	l.taken, l.bytes = 0, 0
}

// HeldBytes implements engine.Holder.
func (l *latestChanges[K, V]) HeldBytes() int64 { return l.bytes }
