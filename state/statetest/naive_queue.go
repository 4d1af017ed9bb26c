package statetest

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/seed84377926/millrace/state"
)

// naiveQueue holds entries in a slice, in the order of the queue.
type naiveQueue struct {
	*timeQueue
	live []queueEntry
}

func testQueueModel(t *testing.T, e state.Engine) {
	testNaive(t, e, func() naive { return &naiveQueue{} })
}

func (m *naiveQueue) open(t testing.TB, part state.Partition, budget *state.Budget) {
	m.timeQueue = newQueue(t, part, budget)
}
func (m *naiveQueue) resume()              {}
func (m *naiveQueue) save() any            { return slices.Clone(m.live) }
func (m *naiveQueue) load(saved any)       { m.live, _ = saved.([]queueEntry) }
func (m *naiveQueue) exactLocalRows() bool { return true }

func (m *naiveQueue) change(t testing.TB, rng *rand.Rand, clock int64) {
	if len(m.live) > 0 && rng.IntN(3) == 0 {
		i := rng.IntN(len(m.live))
		e := m.live[i]
		removed, err := m.Remove(e.Key, e.QueuePlace)
		must(t, err)
		equal(t, removed, true, "entry %v is removed", e)
		removed, err = m.Remove(e.Key, e.QueuePlace)
		must(t, err)
		equal(t, removed, false, "entry %v is removed twice", e)
		m.live = slices.Delete(m.live, i, i+1)
		return
	}
	e := queueEntry{Key: naiveKey(rng), Value: randomText(rng)}
	var err error
	e.QueuePlace, err = m.Put(e.Key, clock/4-rng.Int64N(20), state.JoinSide(rng.IntN(2)), e.Value)
	must(t, err)
	m.live = append(m.live, e)
	slices.SortFunc(m.live, compareQueued)
	for _, other := range m.live {
		equal(t, other.Seq <= e.Seq, true, "number %d comes after %d", e.Seq, other.Seq)
	}
}

func compareQueued(a, b queueEntry) int {
	for _, c := range []int{
		int(a.Time - b.Time), int(a.Side) - int(b.Side), strings.Compare(a.Key, b.Key),
	} {
		if c != 0 {
			return c
		}
	}
	return int(a.Seq - b.Seq)
}

func (m *naiveQueue) until(last int64) (due []queueEntry) {
	for _, e := range m.live {
		if e.Time <= last {
			due = append(due, e)
		}
	}
	return due
}

func (m *naiveQueue) check(t testing.TB, rng *rand.Rand) {
	head, ok, err := m.Head()
	must(t, err)
	equal(t, ok, len(m.live) > 0, "there is a head")
	last := rng.Int64N(100)
	if ok {
		equal(t, head, m.live[0], "head")
		last = head.Time - 2 + rng.Int64N(12)
	}
	equal(t, collect(t, m.Scan(last)), m.until(last), "entries up to %d", last)
}

// expire removes some of the due entries while it scans them, looks at the head and puts entries before and after.
func (m *naiveQueue) expire(t testing.TB, rng *rand.Rand) {
	if len(m.live) == 0 {
		return
	}
	last := m.live[rng.IntN(len(m.live))].Time
	var seen []queueEntry
	want := m.until(last)
	var put []queueEntry
	for e, err := range m.Scan(last) {
		must(t, err)
		seen = append(seen, e)
		if rng.IntN(8) == 0 {
			late := queueEntry{Key: "late", Value: "v"}
			late.QueuePlace, err = m.Put(late.Key, e.Time-1-rng.Int64N(3), state.RightSide, late.Value)
			must(t, err)
			put = append(put, late)
		}
		if rng.IntN(8) == 0 {
			_, ok, err := m.Head()
			must(t, err)
			equal(t, ok, true, "there is a head within the scan")
		}
		if rng.IntN(4) > 0 {
			removed, err := m.Remove(e.Key, e.QueuePlace)
			must(t, err)
			equal(t, removed, true, "entry %v is removed while it is scanned", e)
			m.live = slices.DeleteFunc(m.live, func(other queueEntry) bool { return other == e })
		}
		if rng.IntN(20) == 0 {
			want = want[:len(seen)]
			break
		}
	}
	equal(t, seen, want, "entries scanned up to %d", last)
	m.live = append(m.live, put...)
	slices.SortFunc(m.live, compareQueued)
}

func (m *naiveQueue) checkReader(t testing.TB, part state.Partition) {
	other := newQueue(t, part, nil)
	equal(t, collect(t, other.Scan(math.MaxInt64)), m.until(math.MaxInt64), "committed entries")
	other.Close()
}
