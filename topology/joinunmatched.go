package topology

import (
	"errors"
	"fmt"
	"math"

	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology/engine"
)

// unmatched is a record of either side of a join that has no match yet.
type unmatched[V, W any] struct {
	left    V
	right   W
	isRight bool
	headers []engine.Header
}

// unmatchedCodec encodes unmatched records: the side, the headers, the value.
type unmatchedCodec[V, W any] struct{ values sideCodecs[V, W] }

var errBadSide = errors.New("unmatched record: it is of neither side")

// Append implements codecs.Codec.
func (c unmatchedCodec[V, W]) Append(dst []byte, u unmatched[V, W]) ([]byte, error) {
	if u.isRight {
		return c.values.right.Append(appendHeaders(append(dst, byte(state.RightSide)), u.headers), u.right)
	}
	return c.values.left.Append(appendHeaders(append(dst, byte(state.LeftSide)), u.headers), u.left)
}

// Decode implements codecs.Codec.
func (c unmatchedCodec[V, W]) Decode(data []byte) (u unmatched[V, W], err error) {
	if len(data) == 0 || data[0] > byte(state.LeftSide) {
		return u, errBadSide
	}
	u.isRight = data[0] == byte(state.RightSide)
	if u.headers, data, err = cutHeaders(data[1:]); err != nil {
		return u, fmt.Errorf("unmatched record: %w", err)
	}
	if u.isRight {
		u.right, err = c.values.right.Decode(data)
	} else {
		u.left, err = c.values.left.Decode(data)
	}
	return u, err
}

// waiting are the unmatched records of a left or outer join in a task, in the order in which they come out.
type waiting[K, V, W, R any] struct {
	h           *engine.Host
	node        *node
	rows        *state.TimeQueue[K, unmatched[V, W]]
	join        func(l *V, r *W) R
	left, right int64 // for how long after their timestamp the windows of the records of a side are open
	results     *joinResults[K, R]
	oldest      *engine.KeptTime // when to look again; engine.UnknownTime if there is nothing
	key         encodedKey
}

// emitDue forwards the records whose windows are over at stream time now. It is called for a record; closing is the
// time from the timestamp of that record to the close of its own window. Like Kafka Streams, emitDue looks at the
// waiting records only if a window of this length would be over for the oldest of them. From then on the record at
// which it stopped counts as the oldest one, so that no record is looked at again and again.
func (q *waiting[K, V, W, R]) emitDue(now, closing int64) error {
	if q.oldest.Now == engine.UnknownTime || q.oldest.Now+closing >= now {
		return nil
	}
	return q.emit(now)
}

// emit forwards the records whose windows are over at stream time now.
func (q *waiting[K, V, W, R]) emit(now int64) error {
	q.oldest.Now = engine.UnknownTime
	leftOpen, rightOpen := false, false
	for e, err := range q.rows.Scan(math.MaxInt64) {
		if err != nil {
			return q.h.NodeError(q.node, err)
		}
		q.oldest.Now = e.Time
		switch isRight := e.Value.isRight; {
		case leftOpen && rightOpen:
			return nil
		case isRight && e.Time+q.right >= now:
			rightOpen = true
			continue
		case !isRight && e.Time+q.left >= now:
			leftOpen = true
			continue
		}
		if _, err := q.rows.Remove(e.Key, e.QueuePlace); err != nil {
			return q.h.NodeError(q.node, err)
		}
		if err := q.forward(e.Key, e.Time, &e.Value); err != nil {
			return err
		}
	}
	return nil
}

func (q *waiting[K, V, W, R]) forward(key K, timestamp int64, u *unmatched[V, W]) error {
	left, right := &u.left, &u.right
	if u.isRight {
		left = nil
	} else {
		right = nil
	}
	q.key.reset()
	q.h.Enter(q.node)
	it := item[K, R]{Key: key, Headers: u.headers}
	return forward(q.results, &it, timestamp, q.join(left, right), &q.key)
}

// add remembers a record without a match.
func (q *waiting[K, V, W, R]) add(key []byte, place state.QueuePlace, u unmatched[V, W]) error {
	if q.oldest.Now == engine.UnknownTime || place.Time < q.oldest.Now {
		q.oldest.Now = place.Time
	}
	return q.rows.PutAt(key, place, u)
}

func (q *waiting[K, V, W, R]) addLeft(key []byte, place state.QueuePlace, it *item[K, V]) error {
	return q.add(key, place, unmatched[V, W]{left: it.Value, headers: it.Headers})
}

func (q *waiting[K, V, W, R]) addRight(key []byte, place state.QueuePlace, it *item[K, W]) error {
	return q.add(key, place, unmatched[V, W]{right: it.Value, isRight: true, headers: it.Headers})
}
