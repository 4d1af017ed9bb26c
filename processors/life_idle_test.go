package processors

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// idleTask is a task whose operators go on after 10 s without a record.
type idleTask struct {
	meter idleMeter
	now   time.Time
	left  time.Duration
	total time.Duration
	looks int
	atEnd bool
	err   error
}

func newIdleTask() *idleTask {
	t := &idleTask{now: time.Unix(1000, 0), left: 10 * time.Second, atEnd: true}
	t.meter.restart(t.now)
	return t
}

// pass lets time pass until the task wakes up, or for d if that is shorter, and returns the idle time that it counts.
func (t *idleTask) pass(d time.Duration) (idle time.Duration) {
	if until := t.meter.due(t.left - t.total).Sub(t.now); until > 0 {
		d = min(d, until)
	}
	return t.wake(d)
}

func (t *idleTask) wake(after time.Duration) (idle time.Duration) {
	t.now = t.now.Add(after)
	idle, _ = t.meter.look(t.now, t.left-t.total, func() (bool, error) { t.looks++; return t.atEnd, t.err })
	t.total += idle
	return idle
}

func TestIdleMeter_countsAllTimeThatIsSeenToPass(t *testing.T) {
	task := newIdleTask()
	for task.total < task.left {
		task.pass(time.Hour)
	}
	require.Equal(t, 10*time.Second, task.now.Sub(time.Unix(1000, 0)))
	require.Equal(t, 2, task.looks)
}

// A process that was stopped, or a machine whose clocks went on while it stood still: time that nobody saw pass.
func TestIdleMeter_countsOneStepOfAJump(t *testing.T) {
	task := newIdleTask()
	require.Equal(t, maxIdleStep, task.wake(time.Hour))
	require.Zero(t, task.wake(time.Second), "nothing is due")
	require.Equal(t, maxIdleStep, task.wake(time.Hour))
}

// After a stop, records that arrived meanwhile have not been fetched yet: the brokers know of them.
func TestIdleMeter_countsNothingWhileRecordsWait(t *testing.T) {
	task := newIdleTask()
	task.atEnd = false
	require.Zero(t, task.wake(time.Hour))
	require.Equal(t, task.now.Add(idleAgain), task.meter.due(task.left), "it looks again soon, but not at once")
	require.Zero(t, task.pass(time.Hour))
	require.Zero(t, task.wake(time.Millisecond))
	require.Equal(t, 2, task.looks)
	task.meter.restart(task.now) // the records
	task.atEnd = true
	require.Zero(t, task.wake(time.Second))
	require.Equal(t, maxIdleStep, task.pass(time.Hour))
}

// While the brokers cannot be reached nothing is fetched, and producers cannot write either: that is no pause.
func TestIdleMeter_countsNothingWhileBrokersAreAway(t *testing.T) {
	task := newIdleTask()
	require.Equal(t, maxIdleStep, task.pass(time.Hour))
	task.err = errors.New("no broker answers")
	for range 600 {
		require.Zero(t, task.pass(time.Hour))
	}
	task.err = nil
	require.Zero(t, task.pass(time.Hour), "from here on")
	require.Equal(t, maxIdleStep, task.pass(time.Hour))
	require.Equal(t, task.left, task.total)
}

// A new life knows nothing about the time before.
func TestIdleMeter_begins(t *testing.T) {
	task := newIdleTask()
	task.meter = idleMeter{}
	require.Zero(t, task.wake(0))
	require.Equal(t, 1, task.looks)
	require.Equal(t, maxIdleStep, task.pass(time.Hour))
}

// A busy task asks the brokers nothing.
func TestIdleMeter_asksNothingWhileRecordsCome(t *testing.T) {
	task := newIdleTask()
	for range 1000 {
		require.Zero(t, task.wake(time.Millisecond))
		task.meter.restart(task.now)
	}
	require.Zero(t, task.looks)
}

func TestInputs_atEnd(t *testing.T) {
	fetched := errors.New("no answer")
	for _, c := range []struct {
		name  string
		given func(m *merge)
		end   func(m *merge, topic string) (int64, error)
		want  bool
	}{
		{name: "empty logs", want: true},
		{name: "all is taken", want: true, given: func(m *merge) {
			m.a.brings(1, 10, 20)
			m.ends["a"] = 3
			_, err := m.inputs.next(t.Context(), new(unit))
			require.NoError(t, err)
		}},
		{name: "a record is not taken", given: func(m *merge) { m.a.brings(0, 10); m.ends["a"] = 1 }},
		{name: "a record is not fetched", given: func(m *merge) { m.ends["b"] = 1 }},
		{name: "only markers came", want: true, given: func(m *merge) { m.b.brings(2); m.ends["b"] = 2 }},
		{name: "a record came while the ends were read", end: func(m *merge, topic string) (int64, error) {
			if topic == "b" {
				m.a.brings(0, 10)
			}
			return m.ends[topic], nil
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMerge(-1)
			if c.given != nil {
				c.given(m)
			}
			end := func(topic string) (int64, error) { return m.ends[topic], nil }
			if c.end != nil {
				end = func(topic string) (int64, error) { return c.end(m, topic) }
			}
			got, err := m.inputs.atEnd(end, anyInput)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
	_, err := newMerge(-1).inputs.atEnd(func(string) (int64, error) { return 0, fetched }, anyInput)
	require.ErrorIs(t, err, fetched)
}
