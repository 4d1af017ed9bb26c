package topology

import "time"

// JoinWindows says which records of two streams belong together: records with equal keys whose timestamps are near
// enough to each other. [Within] makes one; its methods return changed copies. All durations are whole numbers of
// milliseconds.
type JoinWindows struct{ before, after, grace time.Duration }

// Within joins records whose timestamps differ by d at most, whichever comes first.
//
//	right   ······|r······r······r|······       the window of l: all r with
//	              └─Before─┬─After┘             l − Before <= r <= l + After
//	left    ·············· l ············
func Within(d time.Duration) JoinWindows { return JoinWindows{before: d, after: d} }

// Before sets how much earlier than the left record the right one may be, bounds included. It may be negative: then all
// matching records are later than the left record.
func (w JoinWindows) Before(d time.Duration) JoinWindows { w.before = d; return w }

// After sets how much later than the left record the right one may be, bounds included. It may be negative: then all
// matching records are earlier than the left record.
func (w JoinWindows) After(d time.Duration) JoinWindows { w.after = d; return w }

// Grace says how late a record may come, by the stream time of the join, and still be joined with all matching records.
// In a left or outer join, a record also waits this much longer before it comes out alone. Without a grace, records
// must come in order.
func (w JoinWindows) Grace(d time.Duration) JoinWindows { w.grace = d; return w }

// validate records mistakes in w as mistakes of n.
func (w JoinWindows) validate(n *node) {
	fail := n.graph.errorf
	if w.before+w.after < 0 {
		fail(n, "the join window begins %v before a record and ends %v after it: it ends before it begins", w.before, w.after)
	}
	if w.grace < 0 {
		fail(n, "the grace of %v is negative", w.grace)
	}
	for _, d := range []struct {
		what string
		time.Duration
	}{{"time before", w.before}, {"time after", w.after}, {"grace", w.grace}} {
		if d.Duration%time.Millisecond != 0 {
			fail(n, "the %s of %v is not a whole number of milliseconds", d.what, d.Duration)
		}
	}
}

// joinMillis is JoinWindows in the unit of timestamps.
type joinMillis struct{ before, after, grace int64 }

func (w JoinWindows) millis() joinMillis {
	return joinMillis{before: w.before.Milliseconds(), after: w.after.Milliseconds(), grace: w.grace.Milliseconds()}
}

// closing returns for how long after their timestamps the windows of left records are open, grace included.
func (w joinMillis) closing() int64 { return w.after + w.grace }

// keep returns for how long a buffer must keep left records for right records that are not late. Kafka Streams keeps
// them a little longer, so that right records that are too late find some of them; so do we. But for a window that lies
// entirely before or after the record, Kafka Streams keeps them for too short a time.
func (w joinMillis) keep() int64 { return max(w.before+w.after+w.grace-1, w.closing()) }

// reversed returns the windows from the point of view of the right records.
func (w joinMillis) reversed() joinMillis {
	return joinMillis{before: w.after, after: w.before, grace: w.grace}
}
