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

// Clock is the stream time of one operator. If all records of the operator come from one origin, this is the largest
// timestamp of the records that reached it. If they come from several, the slowest origin holds it back: no record is
// late because other records were read faster.
type Clock struct {
	KeptTime
	ClockHooks

	node Node
	mark *watermark // nil if there is one origin
	last int64      // the largest timestamp of its records, as far as this life of the task knows
}

// Advance says that the record which is processed has reached the operator.
func (c *Clock) Advance(timestamp int64) {
	c.last = max(c.last, timestamp)
	if c.mark == nil {
		c.Now = max(c.Now, timestamp)
		return
	}
	c.Now = c.mark.record(c.Now, timestamp)
}

// Several says whether the records come from several origins, so that the time may be behind the largest timestamp.
func (c *Clock) Several() bool { return c.mark != nil }

// follow sets the clock to a time that comes from no record, if that is later.
func (c *Clock) follow(now int64) {
	c.KeptTime.Advance(now)
	if c.mark != nil {
		c.mark.largest.Advance(now)
	}
}

// held says whether an origin holds the clock back, so that older records are to come.
func (c *Clock) held() bool { return c.mark != nil && c.Now < c.mark.largest.Now }

func (c *Clock) changed() bool {
	return c.KeptTime.changed() || c.mark != nil && c.mark.largest.changed()
}

func (c *Clock) flush() {
	c.KeptTime.flush()
	if c.mark != nil {
		c.mark.largest.flush()
	}
}

func (c *Clock) commit() {
	c.KeptTime.commit()
	if c.mark != nil {
		c.mark.largest.commit()
	}
}

func (c *Clock) rollback() {
	c.KeptTime.rollback()
	if c.mark != nil {
		c.mark.largest.rollback()
	}
}

func (c *Clock) stored() storedTime {
	s := storedTime{now: c.Now, largest: c.Now}
	if c.mark != nil {
		s.largest = c.mark.largest.Now
	}
	return s
}

// ClockHooks are what follows from a stream time. Each may be nil.
type ClockHooks struct {
	// Expire removes what is not needed any more at stream time now. It is called before a commit.
	Expire func(now int64) error
	// Emit forwards what became final by stream time now. The operator calls it itself for each record; the task calls
	// it when the clock went on without one: because an origin that held it back has come further, or because the input
	// pauses, see [Program].IdleAfter.
	Emit func(now int64) error
	// Advanced is called before Emit when the clock went from before to now because an origin that held it back has
	// come further.
	Advanced func(before, now int64)
	// Node is the operator if its time goes on while the input pauses, and Reach how far it must go on for all that the
	// operator holds to come out.
	Node  Node
	Reach int64
}

// TimesSpec describes the store of stream times.
func TimesSpec() state.Spec { return state.Spec{Name: TimesStore, Kind: state.KeyValueKind} }

// times keeps the stream times of operators in state, and expires what they keep.
type times struct {
	rows   *state.KeyValue[string, storedTime]
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
		if err := t.put(c.name, c.stored()); err != nil {
			return err
		}
	}
	for _, k := range t.others {
		k.flush()
		if !k.changed() {
			continue
		}
		if err := t.put(k.name, storedTime{now: k.Now, largest: k.Now}); err != nil {
			return err
		}
	}
	return nil
}

func (t *times) put(name string, s storedTime) error { return t.rows.Put(name, s, s.now) }

// changed says whether a clock has gone on since the last commit.
func (t *times) changed() bool {
	return slices.ContainsFunc(t.clocks, (*Clock).changed) || slices.ContainsFunc(t.others, (*KeptTime).changed)
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
