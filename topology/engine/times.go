package engine

import (
	"math"
	"slices"

	"github.com/seed84377926/millrace/state"
)

// TimesStore is the name of the store that keeps the stream times of operators. Without it, a task that was restarted
// would accept late records that it would have dropped before, and the same input would give another output.
const TimesStore = "stream-times"

// UnknownTime is the stream time before the first record.
const UnknownTime = -1

// KeptTime is a time that is committed and rolled back with the task.
type KeptTime struct {
	// Now is the time, in milliseconds; [UnknownTime] if there is none.
	Now int64

	flushed, committed int64
	name               string // under which it is stored
}

// Advance sets the time to timestamp if that is later.
func (k *KeptTime) Advance(timestamp int64) { k.Now = max(k.Now, timestamp) }

// Set sets the time as if it had been committed.
func (k *KeptTime) Set(timestamp int64) {
	k.Now, k.flushed, k.committed = timestamp, timestamp, timestamp
}

// Name returns the name under which the time is stored.
func (k *KeptTime) Name() string { return k.name }

// shift moves the time, and what was committed of it. The end of time stays.
func (k *KeptTime) shift(by int64) {
	for _, t := range []*int64{&k.Now, &k.flushed, &k.committed} {
		if *t != math.MaxInt64 {
			*t += by
		}
	}
}

func (k *KeptTime) flush()        { k.flushed = k.Now }
func (k *KeptTime) commit()       { k.committed = k.flushed }
func (k *KeptTime) rollback()     { k.Now, k.flushed = k.committed, k.committed }
func (k *KeptTime) changed() bool { return k.Now != k.committed }

// Clock is the stream time of one operator: the largest timestamp of the records that reached it.
type Clock struct {
	KeptTime
	ClockHooks
}

// ClockHooks are what follows from a stream time. Each may be nil.
type ClockHooks struct {
	// Expire removes what is not needed any more at stream time now. It is called before a commit.
	Expire func(now int64) error
	// Emit forwards what became final by stream time now. The operator calls it itself for each record; the task calls
	// it when the clock went on without one, see [Program].IdleAfter.
	Emit func(now int64) error
	// Node is the operator if its time goes on while the input pauses, and Reach how far it must go on for all that the
	// operator holds to come out.
	Node  Node
	Reach int64
}

// TimesSpec describes the store of stream times.
func TimesSpec() state.Spec { return state.Spec{Name: TimesStore, Kind: state.KeyValueKind} }

// times keeps the stream times of operators in state, and expires what they keep.
type times struct {
	rows   *state.KeyValue[string, int64]
	clocks []*Clock
	others []*KeptTime
}

func unknown(name string) KeptTime {
	return KeptTime{Now: UnknownTime, flushed: UnknownTime, committed: UnknownTime, name: name}
}

func (t *times) flush() error {
	for _, c := range t.clocks {
		c.flush()
		if !c.changed() {
			continue
		}
		if c.Expire != nil {
			if err := c.Expire(c.Now); err != nil {
				return err
			}
		}
		if err := t.put(&c.KeptTime); err != nil {
			return err
		}
	}
	for _, k := range t.others {
		k.flush()
		if !k.changed() {
			continue
		}
		if err := t.put(k); err != nil {
			return err
		}
	}
	return nil
}

func (t *times) put(k *KeptTime) error { return t.rows.Put(k.name, k.Now, k.Now) }

// changed says whether a clock has gone on since the last commit.
func (t *times) changed() bool {
	return slices.ContainsFunc(t.clocks, func(c *Clock) bool { return c.changed() }) || slices.ContainsFunc(t.others, (*KeptTime).changed)
}

func (t *times) commit() {
	for _, c := range t.clocks {
		c.commit()
	}
	for _, k := range t.others {
		k.commit()
	}
}

func (t *times) rollback() {
	for _, c := range t.clocks {
		c.rollback()
	}
	for _, k := range t.others {
		k.rollback()
	}
}
