package topology

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/seed84377926/millrace/topology/engine"
)

// PunctuationType says which time a schedule goes by.
type PunctuationType uint8

const (
	// StreamTime is the stream time of the task. A schedule calls when stream time is known, and then when it reaches
	// or passes a multiple of the interval, however many multiples it passes. It is part of the state of the task:
	// restarts, commits and crashes do not change when it calls.
	StreamTime PunctuationType = iota + 1
	// WallClock is the time of day. A schedule calls each time that the interval has passed, and once for all intervals
	// that were missed. It begins again when the task does. If the clock is set forward, a call may come early; if it
	// is set back, the schedule goes back as well, so that a call is never more than an interval late.
	WallClock
)

// Schedule makes the task call f every interval (whole milliseconds) with the time that it is, in milliseconds; ctx and
// the error are as for a [Processor]. Such a call has no record, and what it forwards has no headers unless it gives
// them. The policy for failed processing decides about a call that fails, as it does about a record; to skip the call
// means to wait for the next one.
//
// Schedules are made where the processor is created. cancel ends a schedule for good: a schedule of stream time does
// not come back with a restart.
func (s *scope) Schedule(interval time.Duration, of PunctuationType, f func(ctx context.Context, now int64) error) (cancel func()) {
	if !s.creating {
		panic(fmt.Sprintf("processor %q: Schedule is called while records are processed; call it where the processor is created", s.n.name))
	}
	switch {
	case interval <= 0 || interval%time.Millisecond != 0:
		s.problem(fmt.Errorf("it schedules every %v; want a positive number of whole milliseconds", interval))
	case of != StreamTime && of != WallClock:
		s.problem(fmt.Errorf("it schedules by punctuation type %d; want topology.StreamTime or topology.WallClock", of))
	case f == nil:
		s.problem(fmt.Errorf("it schedules a nil function"))
	default:
		return s.schedule(interval.Milliseconds(), of, f)
	}
	return func() {}
}

func (s *scope) schedule(interval int64, of PunctuationType, f func(context.Context, int64) error) (cancel func()) {
	s.schedules++
	if s.h.Trial() {
		s.n.timed = s.n.timed || of == StreamTime
		return func() {}
	}
	sched := s.alarms[s.schedules]
	if sched == nil {
		if sched = s.newSchedule(s.schedules, interval, of); sched == nil {
			return func() {}
		}
		s.alarms[s.schedules] = sched
	}
	sched.interval, sched.f = interval, f
	return func() { sched.at.Now = never }
}

// never is when a cancelled schedule is due.
const never = math.MaxInt64

func (s *scope) newSchedule(number int, interval int64, of PunctuationType) *schedule {
	if of == StreamTime && !s.n.timed || !s.h.Wiring() {
		s.problem(fmt.Errorf("it has another schedule than when the topology was built: it must have the same whenever it is created"))
		return nil
	}
	sched := &schedule{scope: s}
	sched.alarm = engine.Alarm{Node: s.n, Number: number, Due: sched.due, Ring: sched.ring}
	if of == StreamTime {
		sched.at = s.h.StoredTime(fmt.Sprintf("%s/schedule-%d", s.n.name, number))
		if sched.at.Now == engine.UnknownTime {
			sched.at.Set(0) // as soon as stream time is known
		}
		s.h.AddStreamTimeAlarm(&sched.alarm)
		return sched
	}
	sched.at = s.h.VolatileTime(s.h.WallClock() + interval)
	s.h.AddWallClockAlarm(&sched.alarm)
	return sched
}

func (s *schedule) due() (at int64, ok bool) { return s.at.Now, s.at.Now != never }

func (s *schedule) ring(now int64) error {
	if !s.scope.h.PassOver() {
		s.scope.call()
		if err := s.scope.leave(s.f(s.scope.h.Context(), now)); err != nil {
			return err
		}
	}
	if s.at.Now != never {
		s.at.Now += (max(now, s.at.Now)-s.at.Now)/s.interval*s.interval + s.interval
	}
	return nil
}
