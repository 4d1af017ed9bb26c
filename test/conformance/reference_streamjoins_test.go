package conformance_test

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
)

// joinWindows are the windows of a join of two streams, in milliseconds.
type joinWindows struct{ before, after, grace int64 }

func randomJoinWindows(dice *rand.Rand) joinWindows {
	before := dice.Int64N(9) - 2
	return joinWindows{before: before, after: max(-before, dice.Int64N(9)-2), grace: dice.Int64N(12)}
}

func (w joinWindows) String() string {
	return fmt.Sprintf("before=%d after=%d grace=%d", w.before, w.after, w.grace)
}

func (w joinWindows) topology() topology.JoinWindows {
	return topology.Within(0).Before(millis(w.before)).After(millis(w.after)).Grace(millis(w.grace))
}

// closing returns for how long after its timestamp a record can be joined, grace included.
func (w joinWindows) closing(right bool) int64 {
	if right {
		return w.before + w.grace
	}
	return w.after + w.grace
}

// streamJoin is a join of two streams.
type streamJoin struct {
	kind string // inner, left, outer; self for an inner join of a stream with itself
	joinWindows
}

// single reports whether records of a side come out alone if nothing belongs to them.
func (j streamJoin) single(right bool) bool { return j.kind == "outer" || j.kind == "left" && !right }

func anyRecord(event) bool { return true }

// matches returns the places of the records that the last one is joined with, in the order in which that happens.
// Records that come out alone are seen until their window is over by the time of both sides, so that none comes out
// both ways. The others are seen as long as Kafka Streams keeps them, by the time of their own side.
func (j streamJoin) matches(past []event) (places []int) {
	last := past[len(past)-1]
	if !usable(last) {
		return nil
	}
	before := past[:len(past)-1]
	first := nowOf(past, anyRecord) - j.closing(!last.right)
	if !j.single(!last.right) {
		keep := max(j.before+j.after+j.grace-1, j.closing(!last.right))
		if j.kind == "self" { // both sides are in one store
			keep = max(keep, j.closing(last.right))
		}
		first = nowOf(before, func(e event) bool { return e.right != last.right && usable(e) }) - keep
	}
	for i, e := range before {
		left, right := e.Timestamp, last.Timestamp
		if e.right {
			left, right = right, left
		}
		if e.right != last.right && usable(e) && e.Key == last.Key && e.Timestamp >= first &&
			left-j.before <= right && right <= left+j.after {
			places = append(places, i)
		}
	}
	slices.SortStableFunc(places, func(a, b int) int { return int(before[a].Timestamp - before[b].Timestamp) })
	return places
}

// outputs are the records that come out alone because their time is over now, and the pairs of the last one, or itself
// alone if its own time was over when it came.
func (j streamJoin) outputs(past []event) (out []record) {
	last, now := past[len(past)-1], nowOf(past, anyRecord)
	before := nowOf(past[:len(past)-1], anyRecord)
	for i, e := range past[:len(past)-1] {
		closes := e.Timestamp + j.closing(e.right)
		if usable(e) && j.single(e.right) && before <= closes && closes < now && !j.paired(past[:len(past)-1], i) {
			out = append(out, j.alone(e))
		}
	}
	matches := j.matches(past)
	for _, i := range matches {
		e := past[i]
		value := joined(last.Value, e.Value)
		if last.right {
			value = joined(e.Value, last.Value)
		}
		out = append(out, record{Key: last.Key, Value: value, Timestamp: max(last.Timestamp, e.Timestamp)})
	}
	late := last.Timestamp+j.closing(last.right) < now
	if j.single(last.right) && !last.NullValue && (last.NullKey || late && len(matches) == 0) {
		out = append(out, j.alone(last))
	}
	return out
}

// paired reports whether the record at a place was joined with another one.
func (j streamJoin) paired(past []event, place int) bool {
	if len(j.matches(past[:place+1])) > 0 {
		return true
	}
	for i := place + 1; i < len(past); i++ {
		if slices.Contains(j.matches(past[:i+1]), place) {
			return true
		}
	}
	return false
}

// alone is the result for a record that nothing belongs to.
func (j streamJoin) alone(e event) record {
	r := e.record
	r.Value = joined(e.Value, "null")
	if e.right {
		r.Value = joined("null", e.Value)
	}
	return r
}

// streamJoinReference joins two streams. It does not define at which record others come out alone: Kafka Streams does
// not look at waiting records every time, and neither do we.
func streamJoinReference(kind string) func(dice *rand.Rand) reference {
	return func(dice *rand.Rand) reference {
		j := streamJoin{kind, randomJoinWindows(dice)}
		return reference{
			name: kind + " join " + j.String(), left: randomChain(dice, false), right: randomChain(dice, false),
			after: randomChain(dice, false), outputs: j.outputs, whole: kind != "inner",
			define: func(b *topology.Builder, left, right chain) stream {
				return j.join(left.build(source(b, "a")), right.build(source(b, "b")))
			},
		}
	}
}

// join joins two streams in our DSL.
func (j streamJoin) join(left, right stream) stream {
	text, windows := codecs.String, j.topology()
	switch j.kind {
	case "inner", "self":
		return left.Join("joined", right, windows, joined, text, text)
	case "left":
		return left.LeftJoin("joined", right, windows, leftJoined, text, text)
	default:
		return left.OuterJoin("joined", right, windows, outerJoined, text, text)
	}
}

// selfJoinReference joins a stream with itself.
func selfJoinReference(dice *rand.Rand) reference {
	w := randomJoinWindows(dice)
	return reference{
		name: "self join " + w.String(), left: randomChain(dice, true), after: randomChain(dice, false), anyOrder: true,
		define: func(b *topology.Builder, left, _ chain) stream {
			s := left.build(source(b, "a"))
			return streamJoin{"self", w}.join(s, s)
		},
		// Each record comes as a left one, then as a right one.
		outputs: func(past []event) []record {
			var twice []event
			for _, e := range past {
				twice = append(twice, event{false, e.record}, event{true, e.record})
			}
			j := streamJoin{"self", w}
			return append(j.outputs(twice[:len(twice)-1]), j.outputs(twice)...)
		},
	}
}
