package topology

import (
	"fmt"
	"slices"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

// timesStore is the store that keeps the stream times of the operators of a task that have one of their own. Without it, a task that was
// restarted would accept late records that it would have dropped before, and the same input would give another output.
const timesStore = "stream-times"

const unknownTime = -1

// clock is a stream time: the largest timestamp heard, with what of it is committed.
type clock struct{ now, flushed, committed int64 }

func newClock() clock { return clock{unknownTime, unknownTime, unknownTime} }

func (c *clock) advance(timestamp int64) { c.now = max(c.now, timestamp) }
func (c *clock) set(timestamp int64)     { c.now, c.flushed, c.committed = timestamp, timestamp, timestamp }
func (c *clock) rollback()               { c.now, c.flushed = c.committed, c.committed }

// times keeps the stream times of operators in state, and expires what they keep.
type times struct {
	rows   *state.KeyValue[string, int64]
	clocks []*operatorClock
	others []*keptTime
}

// keptTime is a time that is part of the state of a task.
type keptTime struct {
	clock
	name string
}

// operatorClock is the stream time of one operator: the largest timestamp of the records that reached it.
type operatorClock struct {
	clock
	name string
	clockHooks
}

// clockHooks are what follows from a stream time. Each may be nil.
type clockHooks struct {
	// expire removes what is not needed any more at stream time now. It is called before a commit.
	expire func(now int64) error
	// emit forwards what became final by stream time now. The operator calls it itself for each record; the task calls it
	// when the clock went on without one, see [AdvanceWhenIdle].
	emit func(now int64) error
	// node is the operator if its time goes on while the input pauses, and reach how far it must go on for all that the operator
	// holds to come out.
	node  *node
	reach int64
}

// timesSpec describes the store of stream times.
func timesSpec() state.Spec { return state.Spec{Name: timesStore, Kind: state.KeyValueKind} }

// clockFor returns the stream time of an operator. name is that of its store, which is unique and stays the same when other
// operators come and go; further times of the operator that are kept have "/" and a word behind it. The node of the operator
// must be timed.
func (t *Task) clockFor(name string, hooks clockHooks) *operatorClock {
	c := &operatorClock{clock: newClock(), name: name, clockHooks: hooks}
	if t.readTime(name, &c.clock) {
		t.times.clocks = append(t.times.clocks, c)
	}
	return c
}

// keepTime returns a time that a node keeps which is not the stream time of an operator. The name is as for clockFor.
func (t *Task) keepTime(name string) *keptTime {
	k := &keptTime{clock: newClock(), name: name}
	if t.readTime(name, &k.clock) {
		t.times.others = append(t.times.others, k)
	}
	return k
}

// readTime sets c to what is kept under the name, and reports whether that could be read.
func (t *Task) readTime(name string, c *clock) bool {
	if t.times == nil {
		rows, err := state.NewKeyValue(timesStore, t.cfg.State, t.cfg.Budget, codecs.String, codecs.Int64)
		if err != nil {
			t.fail(err)
			return false
		}
		t.times = &times{rows: rows}
		t.stores = append(t.stores, rows)
	}
	now, _, ok, err := t.times.rows.Get(name)
	if err != nil {
		t.fail(fmt.Errorf("stream time of %q: %w", name, err))
		return false
	}
	if ok {
		c.set(now)
	}
	return true
}

func (t *times) flush() error {
	for _, c := range t.clocks {
		c.flushed = c.now
		if c.now == c.committed {
			continue
		}
		if c.expire != nil {
			if err := c.expire(c.now); err != nil {
				return err
			}
		}
		if err := t.rows.Put(c.name, c.now, c.now); err != nil {
			return err
		}
	}
	for _, k := range t.others {
		k.flushed = k.now
		if k.now == k.clock.committed {
			continue
		}
		if err := t.rows.Put(k.name, k.now, k.now); err != nil {
			return err
		}
	}
	return nil
}

// changed says whether a clock has gone on since the last commit.
func (t *times) changed() bool {
	return slices.ContainsFunc(t.clocks, func(c *operatorClock) bool { return c.now != c.clock.committed }) ||
		slices.ContainsFunc(t.others, func(k *keptTime) bool { return k.now != k.clock.committed })
}

func (t *times) committed() {
	for _, c := range t.clocks {
		c.clock.committed = c.flushed
	}
	for _, k := range t.others {
		k.clock.committed = k.flushed
	}
}

func (t *times) rollback() {
	for _, c := range t.clocks {
		c.clock.rollback()
	}
	for _, k := range t.others {
		k.clock.rollback()
	}
}
