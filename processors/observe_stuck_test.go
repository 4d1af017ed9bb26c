package processors

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/processors/internal/observe"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
)

// standing returns a running task with two inputs, whose ends are not known yet, and its log.
func standing(now time.Time) (*task, *bytes.Buffer) {
	var log bytes.Buffer
	t := &task{partition: 2, logger: slog.New(slog.NewTextHandler(&log, nil))}
	initTaskStats(&t.stats, observe.NewGroup(), &groupPlan{
		inputs: []topology.Input{{Topic: "a"}, {Topic: "b"}}, sizes: map[string]int32{"a": 3, "b": 3},
	}, 2)
	t.state.Store(int32(taskRunning))
	t.stats.activity.Enter(observe.ActivityWait, now)
	t.stats.publishInputs(&inputs{all: []*input{{topic: "a", next: 10}, {index: 1, topic: "b", next: 10}}})
	return t, &log
}

func endsAt(a, b int64) map[state.TopicPartition]broker.LogEnd {
	return map[state.TopicPartition]broker.LogEnd{
		{Topic: "a", Partition: 2}: {Committed: a, HighWatermark: a},
		{Topic: "b", Partition: 2}: {Committed: b, HighWatermark: b + 3},
	}
}

func TestStuckDetector_warnsOnceThenLessAndLessOften(t *testing.T) {
	now := time.Unix(1000, 0)
	stuck, log := standing(now)
	d := stuckDetector{after: time.Minute, tasks: make(map[*task]*standstill)}
	stuck.stats.recordEnds(2, endsAt(15, 10))
	var warned []time.Duration
	start := now
	for range 20 * 60 {
		d.check(stuck, now)
		d.forget(now)
		if log.Len() > 0 {
			require.Contains(t, log.String(), "task makes no progress")
			require.Contains(t, log.String(), "lag.a=5")
			require.NotContains(t, log.String(), "lag.b", "b has nothing to do")
			require.Contains(t, log.String(), "records of a from offset 10")
			warned = append(warned, now.Sub(start))
			log.Reset()
		}
		now = now.Add(time.Second)
	}
	require.Equal(t, []time.Duration{1 * time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute}, warned)

	stuck.stats.publishInputs(&inputs{all: []*input{{topic: "a", next: 11}, {index: 1, topic: "b", next: 10}}})
	d.check(stuck, now)
	require.Contains(t, log.String(), "task makes progress again")
}

func TestStuckDetector_idleTasksAreNotStuck(t *testing.T) {
	now := time.Unix(1000, 0)
	stuck, log := standing(now)
	d := stuckDetector{after: time.Minute, tasks: make(map[*task]*standstill)}
	for range 600 {
		d.check(stuck, now) // nobody knows the ends
		now = now.Add(time.Second)
	}
	stuck.stats.recordEnds(2, endsAt(10, 10))
	for range 600 {
		d.check(stuck, now) // it is at the ends
		now = now.Add(time.Second)
	}
	require.Empty(t, log.String())

	// Lag that has just come is not old because the task was idle before.
	stuck.stats.recordEnds(2, endsAt(10, 11))
	for range 59 {
		d.check(stuck, now)
		now = now.Add(time.Second)
	}
	require.Empty(t, log.String())

	stuck.state.Store(int32(taskStopped))
	for range 600 {
		d.check(stuck, now)
		now = now.Add(time.Second)
	}
	require.Empty(t, log.String())
}

func TestStuckDetector_offWhenNegativeAndForgetsTasksThatAreGone(t *testing.T) {
	now := time.Unix(1000, 0)
	stuck, log := standing(now)
	stuck.stats.recordEnds(2, endsAt(15, 10))
	off := stuckDetector{after: -1, tasks: make(map[*task]*standstill)}
	off.check(stuck, now)
	off.check(stuck, now.Add(time.Hour))
	require.Empty(t, log.String())

	d := stuckDetector{after: time.Minute, tasks: make(map[*task]*standstill)}
	d.check(stuck, now)
	d.forget(now)
	require.Len(t, d.tasks, 1)
	d.forget(now.Add(time.Second))
	require.Empty(t, d.tasks)
}

func TestWaits_saysWhatKeepsATaskFromGoingOn(t *testing.T) {
	now := time.Unix(1000, 0)
	stuck, _ := standing(now)
	waits := func(a observe.Activity, s taskState) string {
		stuck.stats.activity.Enter(a, now)
		p := stuck.stats.snapshot(now)
		return p.waitReason(s)
	}
	require.Empty(t, waits(observe.ActivityWait, taskRunning), "at the end of its inputs it waits for nothing")
	require.Contains(t, waits(observe.ActivityProcess, taskRunning), "an operator")
	require.Contains(t, waits(observe.ActivityCommit, taskRunning), "take the transaction")
	require.Contains(t, waits(observe.ActivityRestore, taskRestoring), "changelog")
	require.Contains(t, waits(observe.ActivityTakeOver, taskTakingOver), "owner before")
	stuck.stats.recordFailure(errors.New("no leader"), now)
	require.Contains(t, waits(observe.ActivityRetry, taskWaiting), "no leader")
	stuck.stats.publishInputs(&inputs{waitsFor: "b, which is not read to its end"})
	require.True(t, strings.HasPrefix(waits(observe.ActivityWait, taskRunning), "b, which"))
}

func TestLag_ageIsThatOfTheOldestRecordThatWaits(t *testing.T) {
	now := time.UnixMilli(10_000)
	in := inputStats{position: 5, end: 8, oldest: 4_000}
	lag, age := in.lag(now)
	require.Equal(t, int64(3), lag)
	require.Equal(t, 6*time.Second, age)
	in.position = 8
	lag, age = in.lag(now)
	require.Zero(t, lag)
	require.Zero(t, age, "however old the record processed last")
}
