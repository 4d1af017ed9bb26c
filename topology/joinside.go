package topology

import (
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology/engine"
)

// joinBuffer is the store of one side of a join in a task.
type joinBuffer[K, V any] struct {
	rows  *state.JoinBuffer[K, V]
	clock *engine.Clock
	keep  int64
	added int // since rows were expired
}

// openBuffer opens the store of one side. The caller sets its clock.
func openBuffer[K, V any](h *engine.Host, s joined, key codecs.Codec[K], value codecs.Codec[V]) *joinBuffer[K, V] {
	rows, err := state.NewJoinBuffer(s.spec, h.State(), h.Budget(), key, value)
	if err != nil {
		h.Fail(err)
		return &joinBuffer[K, V]{}
	}
	h.AddStore(rows)
	return &joinBuffer[K, V]{rows: rows, keep: s.keep}
}

// first returns the timestamp of the first record that the other side can see.
func (b *joinBuffer[K, V]) first() int64 { return b.clock.Now - b.keep }

// expire removes records that cannot be seen any more at stream time now. It removes more records than come in, but not
// all at once when time jumps.
func (b *joinBuffer[K, V]) expire(now int64) error {
	const atLeast = 4096
	_, err := b.rows.Expire(now-b.keep, atLeast+2*b.added)
	b.added = 0
	return err
}

// put keeps a record for the other side.
func (b *joinBuffer[K, V]) put(key []byte, timestamp int64, value V) (seq int64, err error) {
	b.added++
	b.rows.Advance(b.clock.Now)
	return b.rows.PutEncoded(key, timestamp, value)
}

// fetch appends the visible records between two timestamps.
func (b *joinBuffer[K, V]) fetch(dst []state.JoinEntry[K, V], key []byte, from, to int64) ([]state.JoinEntry[K, V], error) {
	b.rows.Advance(b.clock.Now)
	return b.rows.FetchEncoded(dst, key, max(from, b.first()), to)
}

// streamSide takes the records of one side of a join, X, and finds the matching records of the other side, Y.
type streamSide[K, X, Y, R any] struct {
	h         *engine.Host
	node      *node
	keys      keying[K]
	reencode  bool // the encoding of the key that a record comes with may be another one
	windows   joinMillis
	own       *joinBuffer[K, X]
	other     *joinBuffer[K, Y]
	join      func(x *X, y *Y) R
	results   *joinResults[K, R]
	found     []state.JoinEntry[K, Y] // scratch
	memo      encodedKey              // if reencode
	side      state.JoinSide
	otherSide state.JoinSide

	// Of left and outer joins.
	time *engine.Clock // of both sides
	// emit forwards the records that can no longer have a match, see [waiting.emitDue].
	emit func(now, closing int64) error
	// wait remembers a record without a match. It is nil if such a record has no result.
	wait func(key []byte, place state.QueuePlace, it *item[K, X]) error
	// matched forgets a record of the other side that has a match now. It is nil if none is remembered.
	matched func(key []byte, place state.QueuePlace) error
}

func (s *streamSide[K, X, Y, R]) receive(it *item[K, X]) error {
	s.h.Enter(s.node)
	var before int64
	if s.time != nil {
		before = s.time.Now
		s.time.Advance(it.Timestamp)
	}
	if it.NullKey && s.wait != nil && !it.NullValue {
		return forward(s.results, it, it.Timestamp, s.join(&it.Value, nil), it.key)
	}
	if dropNulls(s.h, s.node, &it.Record) {
		return nil
	}
	if s.time != nil && (it.Timestamp == s.time.Now || s.time.Now != before) {
		if err := s.emit(s.time.Now, s.windows.closing()); err != nil {
			return err
		}
	}
	memo := it.key
	if s.reencode {
		s.memo.reset()
		memo = &s.memo
	}
	key, err := s.keys.encode(s.h, s.node, memo, it.Key)
	if err != nil {
		return err
	}
	matched, err := s.match(it, memo, key)
	if err != nil {
		return err
	}
	return s.keep(it, memo, key, matched)
}

// match forwards a result for each matching record of the other side.
func (s *streamSide[K, X, Y, R]) match(it *item[K, X], memo *encodedKey, key []byte) (matched bool, err error) {
	s.found, err = s.other.fetch(s.found[:0], key, it.Timestamp-s.windows.before, it.Timestamp+s.windows.after)
	if err != nil {
		return false, s.h.NodeError(s.node, err)
	}
	for i := range s.found {
		y := &s.found[i]
		if s.matched != nil {
			if err := s.matched(key, state.QueuePlace{Time: y.Timestamp, Side: s.otherSide, Seq: y.Seq}); err != nil {
				return false, s.h.NodeError(s.node, err)
			}
		}
		s.h.Enter(s.node)
		if err := forward(s.results, it, max(it.Timestamp, y.Timestamp), s.join(&it.Value, &y.Value), memo); err != nil {
			return false, err
		}
	}
	matched = len(s.found) > 0
	clear(s.found)
	return matched, nil
}

// keep keeps the record for the other side, unless its window is over.
func (s *streamSide[K, X, Y, R]) keep(it *item[K, X], memo *encodedKey, key []byte, matched bool) error {
	s.own.clock.Advance(it.Timestamp)
	over := it.Timestamp < s.own.first()
	switch {
	case over && matched:
		return nil
	case over && s.wait != nil:
		s.h.Enter(s.node)
		return forward(s.results, it, it.Timestamp, s.join(&it.Value, nil), memo)
	case over:
		s.h.DropLate(s.node, DropLateWindow, it.Timestamp, s.own.first()-it.Timestamp)
		return nil
	}
	seq, err := s.own.put(key, it.Timestamp, it.Value)
	if err == nil && s.wait != nil && !matched {
		err = s.wait(key, state.QueuePlace{Time: it.Timestamp, Side: s.side, Seq: seq}, it)
	}
	if err != nil {
		return s.h.NodeError(s.node, err)
	}
	return nil
}

// joinResults are the results of a join on their way out.
type joinResults[K, R any] struct {
	out  item[K, R]
	next receiver[item[K, R]]
}

// forward forwards a result of the record. memo is the encoding of its key.
func forward[K, X, R any](r *joinResults[K, R], it *item[K, X], timestamp int64, value R, memo *encodedKey) error {
	r.out.Record = Record[K, R]{Key: it.Key, NullKey: it.NullKey, Value: value, Timestamp: timestamp, Headers: it.Headers}
	r.out.key = memo
	return r.next(&r.out)
}

// sideCodecs are the codecs of the values of both sides.
type sideCodecs[V, W any] struct {
	left  codecs.Codec[V]
	right codecs.Codec[W]
}

func codecsOf[V, W any](left codecs.Codec[V], right codecs.Codec[W]) sideCodecs[V, W] {
	return sideCodecs[V, W]{left, right}
}

// joined is the store of one side of a join.
type joined struct {
	*storeInfo
	keep int64 // records are seen up to so many milliseconds before the time of the store
}

// keepJoined registers the store of one side of a join.
func keepJoined(n *node, part string, keep int64) joined {
	return joined{keep: keep, storeInfo: n.keepPart(part, joinSpec(keep))}
}

// joinSpec describes the store of one side of a join. Its retention must not be 0, which means forever.
func joinSpec(keep int64) state.Spec {
	return state.Spec{Kind: state.JoinKind, Retention: time.Duration(max(keep, 1)) * time.Millisecond}
}
