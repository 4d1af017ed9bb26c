package engine

import (
	"fmt"
	"math"
	"time"
)

// MaxTime is the largest timestamp that a record can have, in milliseconds: 2262-04-11T23:47:16.854Z. The Kafka client
// keeps times in nanoseconds and would write a later one as another time. Sums of timestamps and durations are below
// twice this time, so nothing that computes with windows overflows.
const MaxTime = math.MaxInt64 / int64(time.Millisecond)

// TimeError says that the time of an input record is further ahead of the wall clock than TaskConfig.MaxTimeAhead
// allows, or later than [MaxTime]. The record would close all windows before its time, for ever. Nothing of it was
// processed: the owner of the task may let it go on as if the record did not exist.
type TimeError struct {
	Node, Topic string
	Partition   int32
	Offset      int64
	// Timestamp is the time of the record and WallClock the time that the owner gave the task, in milliseconds.
	Timestamp, WallClock int64
	// MaxTimeAhead is the bound, in milliseconds; 0 if there is none but MaxTime.
	MaxTimeAhead int64
}

// Error implements error.
func (e *TimeError) Error() string {
	return fmt.Sprintf("node %q: topic %q partition %d offset %d: the time of the record is %s (%d)%s, %s",
		e.Node, e.Topic, e.Partition, e.Offset, timeText(e.Timestamp), e.Timestamp, e.unit(), e.bound())
}

func (e *TimeError) bound() string {
	if e.MaxTimeAhead == 0 || e.WallClock+e.MaxTimeAhead > MaxTime {
		return "later than the last time that a record can have, " + timeText(MaxTime)
	}
	return fmt.Sprintf("more than MaxTimeAhead, %v, ahead of the clock of this machine, %s",
		time.Duration(e.MaxTimeAhead)*time.Millisecond, timeText(e.WallClock))
}

// unit says in which other unit the timestamp is a time of this century.
func (e *TimeError) unit() string {
	const year = 365 * 24 * int64(time.Hour/time.Millisecond)
	for _, u := range []struct {
		name string
		per  int64 // in a millisecond
	}{{"microseconds", 1000}, {"nanoseconds", 1_000_000}} {
		if ms := e.Timestamp / u.per; 30*year < ms && ms < 130*year {
			return ", which are " + u.name + " rather than milliseconds"
		}
	}
	return ""
}

func timeText(ms int64) string {
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z07:00")
}

// CheckTime returns a [*TimeError] if the task must not take an input record of the given time. The source calls it
// before it does anything with the record.
func (h *Host) CheckTime(n Node, timestamp int64) error {
	if timestamp <= h.latestTime() {
		return nil
	}
	topic, offset := h.Position()
	return &TimeError{
		Node: n.Name(), Topic: topic, Partition: h.cfg.Partition, Offset: offset,
		Timestamp: timestamp, WallClock: h.wallClock.Now, MaxTimeAhead: h.cfg.MaxTimeAhead,
	}
}

// CheckMade returns an error if a function of the user has given a record a time that no record can have.
func (h *Host) CheckMade(n Node, timestamp int64) error {
	if timestamp <= MaxTime {
		return nil
	}
	return h.RecordError(n, fmt.Errorf("the function made a record with timestamp %d; want milliseconds, at most %d (%s)",
		timestamp, MaxTime, timeText(MaxTime)))
}

func (h *Host) latestTime() int64 {
	if h.cfg.MaxTimeAhead <= 0 {
		return MaxTime
	}
	return min(MaxTime, h.wallClock.Now+h.cfg.MaxTimeAhead)
}

// LatestTime returns the latest time that a record of a source may have at the moment. The task refuses a record that
// is later, see [TimeError].
func (t *Task) LatestTime() int64 { return t.host.latestTime() }
