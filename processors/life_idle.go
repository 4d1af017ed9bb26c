package processors

import (
	"context"
	"log/slog"
	"time"

	"github.com/seed84377926/millrace/processors/internal/observe"
)

const (
	// minIdleStep is how long a task waits at least between two looks, each of which asks the brokers.
	minIdleStep = 100 * time.Millisecond

	// maxIdleStep bounds how much idle time one look at the inputs adds, and so how far the clocks of operators follow
	// time that nobody saw pass: the process or the machine stood still, or the task was busy with something else.
	maxIdleStep = 5 * time.Second

	// idleAgain is how soon the task looks again after it did not find its inputs at their ends.
	idleAgain = time.Second

	// idleLookTimeout bounds how long a look may wait for the brokers, since the task does nothing else meanwhile.
	idleLookTimeout = time.Second
)

// idleMeter measures for how long the inputs of a task have been idle, for topology.AdvanceWhenIdle. It does not look
// at the wall clock, which may be set, and it believes no interval because a timer says that it is over: an interval
// counts if the task then sees that its inputs are at their ends, and no more than maxIdleStep of it. An empty queue
// proves nothing, since it is empty as well when the brokers cannot be reached, or when the process stood still and has
// not fetched yet what arrived meanwhile.
type idleMeter struct {
	since time.Time // until when idle time was counted; zero: the inputs must be seen at their ends before any counts
	next  time.Time // not before this time the task looks again
}

// restart forgets the interval under way, because a record was processed. now is after all records of the unit.
func (m *idleMeter) restart(now time.Time) { m.since, m.next = now, time.Time{} }

// due returns when to look. left is the idle time after which an operator has something to do.
func (m *idleMeter) due(left time.Duration) time.Time {
	at := m.since.Add(min(max(left, minIdleStep), maxIdleStep))
	if m.next.After(at) {
		return m.next
	}
	return at
}

// look returns the idle time to count now, if a look is due. atEnd says whether the inputs are at their ends; after an
// error nothing counts until they have been seen there again.
func (m *idleMeter) look(now time.Time, left time.Duration, atEnd func() (bool, error)) (idle time.Duration, err error) {
	if now.Before(m.due(left)) {
		return 0, nil
	}
	proven, err := atEnd()
	switch {
	case err != nil:
		m.since, m.next = time.Time{}, now.Add(idleAgain)
		return 0, err
	case !proven:
		m.next = now.Add(idleAgain)
		return 0, nil
	}
	if !m.since.IsZero() {
		idle = min(now.Sub(m.since), maxIdleStep).Truncate(time.Millisecond)
	}
	m.since, m.next = now, time.Time{}
	return idle, nil
}

// advanceIdle lets the stream times of operators go on if the inputs have been idle.
func (l *life) advanceIdle(ctx context.Context) error {
	left, ok := l.operators.IdleDue()
	if !ok {
		return nil
	}
	// What cannot be looked at is no idle time, and logged.
	idle, err := l.idleTime.look(time.Now(), observe.Millis(left), func() (bool, error) { return l.atEnd(ctx, anyInput) })
	if err != nil || idle == 0 {
		return nil //nolint:nilerr // the task goes on
	}
	l.current = nil
	return l.classify(l.operators.AdvanceIdle(idle.Milliseconds()))
}

// atEnd looks whether the task has taken all that there is in the given inputs, see [inputs.atEnd]. It does not wait
// long for the brokers, and logs that they cannot be asked.
func (l *life) atEnd(ctx context.Context, given func(*input) bool) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, idleLookTimeout)
	defer cancel()
	proven, err := l.inputs.atEnd(func(topic string) (int64, error) { return l.inst.client.EndOffset(ctx, topic, l.partition) }, given)
	if err != nil {
		l.logger.Debug("the ends of the inputs cannot be read", slog.Any("error", err))
	}
	return proven, err
}

func anyInput(*input) bool { return true }

// atEnd reports whether the task has taken all that there is in the given inputs: no record waits, and each is fetched
// up to the end of its log, which end reads. It is not at its end while a transaction is open that has written to it.
func (s *inputs) atEnd(end func(topic string) (int64, error), given func(*input) bool) (bool, error) {
	if waits, err := s.waiting(given); err != nil || waits {
		return false, err
	}
	for _, in := range s.all {
		if !given(in) {
			continue
		}
		end, err := end(in.topic)
		if err != nil || in.feed.Fetched() < end {
			return false, err
		}
	}
	waits, err := s.waiting(given) // what was fetched while the ends were read
	return !waits, err
}

// waiting reports whether a record of the given inputs waits to be processed.
func (s *inputs) waiting(given func(*input) bool) (bool, error) {
	for _, in := range s.all {
		if !given(in) {
			continue
		}
		if _, err := s.fill(in); err != nil {
			return false, err
		}
		if in.head() != nil {
			return true, nil
		}
	}
	return false, nil
}
