package statetest

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/seed84377926/millrace/state"
)

func always(int64) bool { return true }

func update(value string) tableUpdate { return tableUpdate{Value: value, HasValue: true} }

func testSuppress(t *testing.T, e state.Engine) {
	part := openPartition(t, e, 0)
	s := newSuppress(t, part, nil)
	wantTotals := func(entries, bytes int64) {
		t.Helper()
		equal(t, []int64{s.Len(), s.Bytes()}, []int64{entries, bytes}, "entries and bytes")
	}
	_, ok, err := s.MinTime()
	must(t, err)
	equal(t, ok, false, "an empty buffer has a first entry")
	first := update("A")
	first.Old, first.HasOld, first.Timestamp = "before", true, 10
	must(t, s.Put("LH", 10, first))
	must(t, s.Put("BA", 12, update("B")))
	must(t, s.Put("", 12, tableUpdate{})) // a deletion
	wantTotals(3, 3*(2+8+1+8)+2+4+6+1+2+1)

	// A later update keeps the place and the old value of the first one.
	later := tableUpdate{Value: "C2", HasValue: true, Old: "A", HasOld: true, Timestamp: 15, Headers: []byte("h")}
	want := suppressEntry{Key: "LH", Time: 10, TableUpdate: later}
	want.Old = "before"
	for _, when := range []string{"dirty", "committed", "reopened"} {
		must(t, s.Put("LH", 99, later))
		wantTotals(3, 3*(2+8+1+8)+2+(4+1)+(4+6)+2+2+1)
		got, ok, err := s.Get("LH")
		must(t, err)
		equal(t, []any{got, ok}, []any{want, true}, "%s: entry", when)
		_, ok, err = s.Get("L")
		must(t, err)
		equal(t, ok, false, "%s: a key that is not buffered is", when)
		place, ok, err := s.MinTime()
		must(t, err)
		equal(t, []any{place, ok}, []any{int64(10), true}, "%s: first place", when)
		commit(t, part, s)
		if when == "committed" {
			s.Close()
			s = newSuppress(t, part, nil)
		}
	}

	// They are yielded by place and key. After the commit nothing is left of them.
	keys := func(while func(int64) bool) (keys []string) {
		t.Helper()
		for _, e := range collect(t, s.EvictWhile(while)) {
			keys = append(keys, e.Key)
		}
		return keys
	}
	equal(t, keys(func(place int64) bool { return place < 10 }), []string(nil), "entries before 10")
	equal(t, keys(func(place int64) bool { return place <= 10 }), []string{"LH"}, "entries up to 10")
	equal(t, keys(func(int64) bool { return s.Len() > 1 }), []string{""}, "entries above one")
	equal(t, keys(func(int64) bool { return s.Bytes() > 0 }), []string{"BA"}, "entries until there are no bytes")
	wantTotals(0, 0)
	s.Rollback()
	wantTotals(3, 3*(2+8+1+8)+2+(4+1)+(4+6)+2+2+1)
	equal(t, keys(always), []string{"LH", "", "BA"}, "entries after the rollback")
	commit(t, part, s)
	equal(t, len(rows(t, part.Scan(nil, nil))), 1, "rows of the partition: the totals")

	// An entry that is added and removed within one commit is never written, and a key that is added again gets a new
	// place.
	must(t, s.Put("LH", 5, update("D")))
	must(t, s.Put("BA", 6, update("E")))
	equal(t, keys(always), []string{"LH", "BA"}, "entries of this commit")
	equal(t, flush(t, s).Len(), 0, "rows of a flush that changes nothing")

	// A loop may put entries: before the next entry, after it, and the entry that it has just got.
	must(t, s.Put("b", 2, update("")))
	var seen []string
	for e, err := range s.EvictWhile(func(place int64) bool { return place < 10 }) {
		must(t, err)
		seen = append(seen, e.Key)
		if e.Key == "b" {
			must(t, s.Put("a", 1, update("")))
			must(t, s.Put("b", 3, update("")))
			if len(seen) == 1 {
				must(t, s.Put("c", 9, update("")))
			} else {
				break
			}
		}
	}
	equal(t, seen, []string{"b", "a", "b"}, "entries of a loop that puts")
	equal(t, keys(always), []string{"a", "b", "c"}, "entries left")
}

// testSuppressPipelined makes changes between the flush and the end of a commit.
func testSuppressPipelined(t *testing.T, e state.Engine) {
	part := openPartition(t, e, 0)
	s := newSuppress(t, part, nil)
	for _, key := range []string{"a", "b", "c"} {
		must(t, s.Put(key, 5, update("1")))
	}
	commit(t, part, s)
	must(t, s.Put("d", 6, update("1")))
	b := flush(t, s)
	// Removed and added again at the same place: now the committed local row leads to the new entry, too.
	for e, err := range s.EvictWhile(always) {
		must(t, err)
		equal(t, e.Key, "a", "first entry")
		break
	}
	must(t, s.Put("a", 5, update("2")))
	must(t, s.Put("e", 4, update("2")))
	must(t, part.Apply(b))
	s.Committed()
	want := []string{"e", "a", "b", "c", "d"}
	for _, when := range []string{"pipelined", "rolled back", "committed"} {
		var seen []string
		for e, err := range s.EvictWhile(always) {
			must(t, err)
			seen = append(seen, e.Key)
		}
		equal(t, seen, want, "%s: entries", when)
		equal(t, []int64{s.Len(), s.Bytes()}, []int64{0, 0}, "%s: totals", when)
		s.Rollback()
		want = []string{"a", "b", "c", "d"}
		equal(t, s.Len(), int64(4), "%s: entries after the rollback", when)
		if when == "rolled back" {
			commit(t, part, s)
		}
	}
}

// testSuppressLarge has more entries than are read at once, and evicts half of them at every commit.
func testSuppressLarge(t *testing.T, e state.Engine) {
	part := openPartition(t, e, 0)
	s := newSuppress(t, part, state.NewBudget(20_000))
	const n = 3000
	key := func(i int) string { return string(rune('a'+i%7)) + string(rune(0x4e00+i)) }
	for i := range n {
		must(t, s.Put(key(i), int64((i*7919)%n), update("value")))
	}
	last, left := int64(math.MinInt64), n
	for left > 0 {
		commit(t, part, s)
		half := left / 2
		for e, err := range s.EvictWhile(func(int64) bool { return s.Len() > int64(half) }) {
			must(t, err)
			equal(t, e.Time > last, true, "place %d comes after %d", e.Time, last)
			last = e.Time
			left--
		}
		equal(t, left, half, "entries left")
	}
	commit(t, part, s)
	equal(t, len(rows(t, part.Scan(nil, nil))), 1, "rows of the partition: the totals")
}

func testJoin(t *testing.T, e state.Engine) {
	part := openPartition(t, e, 0)
	s := newJoin(t, part, nil)
	put := func(key string, timestamp, want int64) {
		t.Helper()
		seq, err := s.Put(key, timestamp, "v")
		must(t, err)
		equal(t, seq, want, "sequence number")
	}
	entry := func(timestamp, seq int64) joinEntry {
		return joinEntry{Key: "a", Timestamp: timestamp, Seq: seq, Value: "v"}
	}
	put("a", 12, 0)
	put("a", 10, 1)
	put("a\x00", 10, 2)
	put("a", 10, 3)
	put("", 10, 4)
	all := []joinEntry{entry(10, 1), entry(10, 3), entry(12, 0)}
	equal(t, fetchBoth(t, s, "a", 10, 12), all, "records, both bounds included")
	commit(t, part, s)
	s.Close()

	// After a restart, no record is written over; after a rollback, numbers are used again.
	s = newJoin(t, part, nil)
	for range 2 {
		put("a", 10, 5)
		put("a", 12, 6)
		equal(t, fetchBoth(t, s, "a", 10, 11), []joinEntry{entry(10, 1), entry(10, 3), entry(10, 5)}, "records")
		flush(t, s)
		s.Rollback()
	}
	equal(t, fetchBoth(t, s, "a", math.MinInt64, math.MaxInt64), all, "records after the rollback")
	equal(t, len(fetchBoth(t, s, "a", 12, 10)), 0, "records of a range that is none")
	equal(t, flush(t, s).Len(), 0, "rows to flush after the rollback")

	// Stream time hides expired records that Expire has not removed yet.
	put("a", 12, 5)
	s.Advance(10 + joinRetention)
	equal(t, len(fetchBoth(t, s, "a", 0, 20)), 4, "records that are just young enough")
	s.Advance(11 + joinRetention)
	equal(t, len(fetchBoth(t, s, "a", 0, 20)), 2, "records that are young enough")
	if _, err := s.Put("a", 10, "late"); !errors.Is(err, state.ErrTooOld) {
		t.Fatalf("record at 10: %v, want ErrTooOld", err)
	}
	expire := func(before int64, limit, want int) {
		t.Helper()
		n, err := s.Expire(before, limit)
		must(t, err)
		equal(t, n, want, "records expired before %d, %d at most", before, limit)
	}
	expire(10, 0, 0)
	expire(11, 3, 3)
	commit(t, part, s)
	equal(t, len(rows(t, part.Scan(nil, nil))), 1+2*3, "rows and local rows, and the number")
	expire(11, 3, 1)
	expire(11, 3, 0)
	expire(13, 1, 1)
	equal(t, len(fetchBoth(t, s, "a", 0, 20)), 0, "records that Expire was told of")
	s.Rollback() // stream time at the last commit was 11
	equal(t, len(fetchBoth(t, s, "a", 0, 20)), 2, "records after the rollback")
	expire(math.MaxInt64, 0, 3)
	expire(math.MinInt64, 0, 0)
	commit(t, part, s)
	equal(t, len(rows(t, part.Scan(nil, nil))), 1, "rows of the partition: the number")
	put("a", math.MaxInt64, 6)
	equal(t, len(fetchBoth(t, s, "a", math.MaxInt64, math.MaxInt64)), 1, "records at the end of time")
}

func testQueue(t *testing.T, e state.Engine) {
	part := openPartition(t, e, 0)
	s := newQueue(t, part, nil)
	_, ok, err := s.Head()
	must(t, err)
	equal(t, ok, false, "an empty queue has a head")
	put := func(key string, time int64, side state.JoinSide) queueEntry {
		t.Helper()
		place, err := s.Put(key, time, side, "v")
		must(t, err)
		return queueEntry{Key: key, Value: "v", QueuePlace: place}
	}
	left12 := put("LH", 12, state.LeftSide)
	left10 := put("LH", 10, state.LeftSide)
	again := put("LH", 10, state.LeftSide)
	before := put("BA", 10, state.LeftSide)
	right10 := put("XX", 10, state.RightSide)
	all := []queueEntry{right10, before, left10, again, left12}
	for _, when := range []string{"dirty", "committed", "reopened"} {
		equal(t, collect(t, s.Scan(12)), all, "%s: all entries", when)
		equal(t, collect(t, s.Scan(11)), all[:4], "%s: entries up to 11", when)
		equal(t, len(collect(t, s.Scan(9))), 0, "%s: entries up to 9", when)
		head, ok, err := s.Head()
		must(t, err)
		equal(t, []any{head, ok}, []any{right10, true}, "%s: head", when)
		commit(t, part, s)
		if when == "committed" {
			s.Close()
			s = newQueue(t, part, nil)
		}
	}
	equal(t, put("LH", 10, state.LeftSide).Seq, int64(5), "number after the restart")
	s.Rollback()

	remove := func(e queueEntry, want bool) {
		t.Helper()
		removed, err := s.Remove(e.Key, e.QueuePlace)
		must(t, err)
		equal(t, removed, want, "entry %v is removed", e)
	}
	remove(left10, true)
	remove(left10, false)
	remove(queueEntry{Key: "BA", QueuePlace: left12.QueuePlace}, false)
	equal(t, collect(t, s.Scan(12)), []queueEntry{right10, before, again, left12}, "entries left")
	equal(t, flush(t, s).Len(), 1, "rows of the flush")
	s.Rollback()
	equal(t, collect(t, s.Scan(12)), all, "entries after the rollback")

	// An entry that is added and removed within one commit uses up its number but is never written.
	remove(put("LH", 1, state.RightSide), true)
	equal(t, flush(t, s).Len(), 1, "rows of the flush")
	for e, err := range s.Scan(math.MaxInt64) {
		must(t, err)
		remove(e, true)
	}
	commit(t, part, s)
	equal(t, len(rows(t, part.Scan(nil, nil))), 1, "rows of the partition: the number")
	if _, err := s.Put("LH", 1, 2, "v"); err == nil {
		t.Fatal("there may be a third side")
	}
	s.Rollback()
	if err := s.PutAt([]byte("LH"), state.QueuePlace{Side: 2}, "v"); err == nil {
		t.Fatal("there may be a third side at a place")
	}
	put("", math.MinInt64, state.LeftSide)
	put("", math.MaxInt64, state.LeftSide)
	equal(t, len(collect(t, s.Scan(math.MinInt64))), 1, "entries at the beginning of time")
	equal(t, len(collect(t, s.Scan(math.MaxInt64))), 2, "entries up to the end of time")
}

// testQueueAt checks entries with the numbers of a join buffer.
func testQueueAt(t *testing.T, e state.Engine) {
	part := openPartition(t, e, 0)
	s := newQueue(t, part, nil)
	at := func(time, seq int64) state.QueuePlace {
		return state.QueuePlace{Time: time, Side: state.LeftSide, Seq: seq}
	}
	must(t, s.PutAt([]byte("LH"), at(12, 7), "v"))
	must(t, s.PutAt([]byte("LH"), at(12, 5), "v"))
	commit(t, part, s)
	must(t, s.PutAt([]byte("BA"), at(11, 9), "v"))
	want := []queueEntry{
		{Key: "BA", Value: "v", QueuePlace: at(11, 9)},
		{Key: "LH", Value: "v", QueuePlace: at(12, 5)},
		{Key: "LH", Value: "v", QueuePlace: at(12, 7)},
	}
	equal(t, collect(t, s.Scan(12)), want, "entries")
	for _, seq := range []int64{5, 6} {
		removed, err := s.RemoveEncoded([]byte("LH"), at(12, seq))
		must(t, err)
		equal(t, removed, seq == 5, "entry %d is removed", seq)
	}
	equal(t, collect(t, s.Scan(12)), []queueEntry{want[0], want[2]}, "entries left")
	removed, err := s.RemoveEncoded([]byte("BA"), at(10, 9))
	must(t, err)
	equal(t, removed, false, "an entry before all others is removed")
	commit(t, part, s)
	equal(t, len(rows(t, part.Scan(nil, nil))), 2, "rows of the partition")
}

// testRestoreBuffers checks that buffers that are restored from the uncompacted changelog continue like the original
// ones.
func testRestoreBuffers(t *testing.T, e state.Engine) {
	part, restored := openPartition(t, e, 0), openPartition(t, e, 1)
	s, j, q := newSuppress(t, part, nil), newJoin(t, part, nil), newQueue(t, part, nil)
	layout, err := state.NewLayout(s.Spec(), j.Spec(), q.Spec())
	must(t, err)
	for i := range int64(10) {
		must(t, s.Put(string(rune('a'+i)), i, update("v")))
		_, err := j.Put("k", i/4, "v")
		must(t, err)
		_, err = q.Put("k", i/4, state.LeftSide, "v")
		must(t, err)
	}
	replay(t, layout, restored, commit(t, part, s, j, q))
	equal(t, rows(t, restored.Scan(nil, nil)), rows(t, part.Scan(nil, nil)), "rows restored")

	// Three are removed, and one of them is added again at another place. The old local rows of all three are left
	// over.
	collect(t, s.EvictWhile(func(int64) bool { return s.Len() > 7 }))
	must(t, s.Put("a", 20, update("later")))
	replay(t, layout, restored, commit(t, part, s))
	bytes := s.Bytes()
	equal(t, len(rows(t, restored.Scan(nil, nil))), len(rows(t, part.Scan(nil, nil)))+3, "rows restored, three left over")

	s, j, q = newSuppress(t, restored, nil), newJoin(t, restored, nil), newQueue(t, restored, nil)
	equal(t, []int64{s.Len(), s.Bytes()}, []int64{8, bytes}, "entries and bytes restored")
	var keys []string
	for _, e := range collect(t, s.EvictWhile(func(int64) bool { return s.Len() > 1 })) {
		keys = append(keys, e.Key)
	}
	equal(t, keys, strings.Split("defghij", ""), "entries in the order of their places")
	commit(t, restored, s)
	left := 0
	for range rows(t, restored.Scan([]byte("\x01suppressed\x00"), []byte("\x01suppressed\x01"))) {
		left++
	}
	equal(t, left, 1, "local rows: those that led to nothing are gone")

	seq, err := j.Put("k", 1, "v")
	must(t, err)
	equal(t, seq, int64(10), "number in the join buffer")
	equal(t, len(fetchBoth(t, j, "k", 1, 1)), 5, "records restored and put")
	place, err := q.Put("k", 1, state.LeftSide, "v")
	must(t, err)
	equal(t, place.Seq, int64(10), "number in the queue")
	equal(t, len(collect(t, q.Scan(1))), 9, "entries restored and put")
	n, err := j.Expire(2, 0)
	must(t, err)
	equal(t, n, 9, "records expired after restore")
}
