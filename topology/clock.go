package topology

import (
	"fmt"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

// timesStore is the store that keeps the stream times of the windowed operators of a task. Without it, a task that was
// restarted would accept late records that it would have dropped before, and the same input would give another output.
const timesStore = "stream-times"

const unknownTime = -1

// clock is a stream time: the largest timestamp heard, with what of it is committed.
type clock struct{ now, flushed, committed int64 }

func newClock() clock { return clock{unknownTime, unknownTime, unknownTime} }

func (c *clock) advance(timestamp int64) { c.now = max(c.now, timestamp) }
func (c *clock) set(timestamp int64)     { c.now, c.flushed, c.committed = timestamp, timestamp, timestamp }
func (c *clock) rollback()               { c.now, c.flushed = c.committed, c.committed }

// times keeps the stream times of windowed operators in state, and expires their windows.
type times struct {
	rows   *state.KeyValue[string, int64]
	clocks []*operatorClock
}

// operatorClock is the stream time of one windowed operator.
type operatorClock struct {
	clock
	name   string
	expire func(now int64) error
}

// timesSpec describes the store of stream times.
func timesSpec() state.Spec { return state.Spec{Name: timesStore, Kind: state.KeyValueKind} }

// clockFor returns the stream time of the node that owns the window store with the given name; expire is called with it
// before each flush.
func (t *Task) clockFor(store string, expire func(now int64) error) *operatorClock {
	c := &operatorClock{clock: newClock(), name: store, expire: expire}
	if t.times == nil {
		rows, err := state.NewKeyValue(timesStore, t.cfg.State, t.cfg.Budget, codecs.String, codecs.Int64)
		if err != nil {
			t.fail(err)
			return c
		}
		t.times = &times{rows: rows}
		t.stores = append(t.stores, rows)
	}
	now, _, ok, err := t.times.rows.Get(store)
	if err != nil {
		t.fail(fmt.Errorf("stream time of %q: %w", store, err))
	} else if ok {
		c.set(now)
	}
	t.times.clocks = append(t.times.clocks, c)
	return c
}

func (t *times) flush() error {
	for _, c := range t.clocks {
		c.flushed = c.now
		if c.now == c.committed {
			continue
		}
		if err := c.expire(c.now); err != nil {
			return err
		}
		if err := t.rows.Put(c.name, c.now, c.now); err != nil {
			return err
		}
	}
	return nil
}

func (t *times) committed() {
	for _, c := range t.clocks {
		c.clock.committed = c.flushed
	}
}

func (t *times) rollback() {
	for _, c := range t.clocks {
		c.clock.rollback()
	}
}
