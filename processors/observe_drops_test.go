package processors

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/processors/internal/observe"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
)

// logged is a slog.Handler that keeps the lines, without their time.
type logged struct{ lines []map[string]any }

func (l *logged) Enabled(context.Context, slog.Level) bool { return true }
func (l *logged) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *logged) WithGroup(string) slog.Handler            { return l }

func (l *logged) Handle(_ context.Context, r slog.Record) error {
	line := map[string]any{"level": r.Level, "msg": r.Message}
	r.Attrs(func(a slog.Attr) bool {
		line[a.Key] = a.Value.Any()
		return true
	})
	l.lines = append(l.lines, line)
	return nil
}

func (l *logged) take() (lines []map[string]any) {
	lines, l.lines = l.lines, nil
	return lines
}

func late(offset, timestamp int64, late time.Duration) engine.Drop {
	return engine.Drop{
		Node: "hourly", Reason: topology.DropLateWindow, Topic: "flights", Partition: 2, Offset: offset,
		Timestamp: timestamp, Late: late.Milliseconds(),
	}
}

// A job with a grace that is too small dropped most of its records for weeks, and only a counter knew. Late records are
// in the log: the first at once, then a line from time to time, and the last ones when the task ends.
func TestDrops_areLogged(t *testing.T) {
	var log logged
	logger, now := slog.New(&log), time.Unix(1000, 0)
	line := func(drops int64, late time.Duration, offset int64, timestamp string) map[string]any {
		return map[string]any{
			"level": slog.LevelWarn, "msg": "records dropped because they came too late", "node": "hourly", "reason": "late-window",
			"drops": drops, "late": late, "topic": "flights", "offset": offset, "timestamp": timestamp,
		}
	}
	var d drops
	_, due := d.due()
	require.False(t, due)
	d.log(logger, now, false)
	require.Empty(t, log.take(), "nothing was dropped")

	d.record(late(5, 3_000, time.Minute))
	d.log(logger, now, false)
	require.Equal(t, []map[string]any{line(1, time.Minute, 5, "1970-01-01T00:00:03.000Z")}, log.take(), "the first one, at once")

	d.record(late(6, 9_000, time.Minute))
	d.record(late(7, 1_000, 3*time.Minute))
	d.record(late(8, 8_000, 2*time.Minute))
	d.log(logger, now.Add(dropLogPause-1), false)
	require.Empty(t, log.take())
	at, due := d.due()
	require.True(t, due)
	require.Equal(t, now.Add(dropLogPause), at, "an idle task wakes up for it")
	d.log(logger, at, false)
	require.Equal(t, []map[string]any{line(3, 3*time.Minute, 7, "1970-01-01T00:00:01.000Z")}, log.take(), "the worst one is the example")
	_, due = d.due()
	require.False(t, due)

	d.record(late(9, 2_000, time.Second))
	d.log(logger, at, true)
	require.Equal(t, []map[string]any{line(1, time.Second, 9, "1970-01-01T00:00:02.000Z")}, log.take(), "the end of the task")
	d.log(logger, at, true)
	require.Empty(t, log.take())
}

// Each operator and reason has a pause of its own, and a level: INFO for what sound applications drop.
func TestDrops_levels(t *testing.T) {
	var log logged
	logger, now := slog.New(&log), time.Unix(1000, 0)
	levels := map[string]slog.Level{
		topology.DropNullKey: slog.LevelWarn, topology.DropNullValue: slog.LevelWarn, topology.DropExpiredWindow: slog.LevelWarn,
		topology.DropNegativeTimestamp: slog.LevelWarn, topology.DropTooOld: slog.LevelWarn, topology.DropNoPartition: slog.LevelInfo,
		topology.DropStale: slog.LevelInfo, topology.DropNullForeignKey: slog.LevelInfo, topology.DropOutdated: slog.LevelInfo,
	}
	var d drops
	for reason := range levels {
		d.record(engine.Drop{Node: "n", Reason: reason, Offset: -1, Timestamp: -1})
		d.record(engine.Drop{Node: "m", Reason: reason, Offset: -1, Timestamp: -1})
	}
	d.log(logger, now, false)
	lines := log.take()
	require.Len(t, lines, 2*len(levels))
	for _, line := range lines {
		reason, _ := line["reason"].(string)
		require.Equal(t, levels[reason], line["level"], reason)
		require.Equal(t, "records dropped", line["msg"])
		require.NotContains(t, line, "topic", "a punctuation has no record")
		require.NotContains(t, line, "late")
	}
}

// Times in microseconds are far after the year 9999, which slog's JSON refuses.
func TestDrops_logAnyTime(t *testing.T) {
	var out bytes.Buffer
	var d drops
	d.record(engine.Drop{Node: "n", Reason: topology.DropNegativeTimestamp, Timestamp: -1 << 62})
	d.record(late(1, 1_700_000_000_000_000, 1<<62))
	d.log(slog.New(slog.NewJSONHandler(&out, nil)), time.Unix(1000, 0), false)
	require.NotContains(t, out.String(), "ERROR")
	require.Contains(t, out.String(), `"timestamp":"55840-`)
}

func TestDrops_areShown(t *testing.T) {
	var s taskStats
	initTaskStats(&s, observe.NewGroup(), &groupPlan{}, 0)
	s.live.drops.record(late(5, 3_000, 3*time.Minute))
	s.live.drops.record(late(6, 3_000, time.Minute))
	s.live.drops.record(engine.Drop{Node: "daily", Reason: topology.DropLateWindow, Late: 1})
	s.live.drops.count("daily", "skipped-processing")
	require.Empty(t, s.snapshot(time.Now()).drops, "the numbers are published after a unit")
	s.mu.drops = s.live.drops.publish(s.mu.drops)
	tallies := s.snapshot(time.Now()).drops
	infos, sums := dropInfo(tallies)
	require.Equal(t, []DropInfo{
		{Node: "hourly", Reason: "late-window", Records: 2, LateSeconds: 60, MaxLateSeconds: 180},
		{Node: "daily", Reason: "late-window", Records: 1, LateSeconds: 0.001, MaxLateSeconds: 0.001},
		{Node: "daily", Reason: "skipped-processing", Records: 1},
	}, infos)
	require.Equal(t, map[string]int64{"late-window": 3, "skipped-processing": 1}, sums)
	require.Equal(t, 3*time.Minute, lateness(tallies, "late-window"))
	require.Zero(t, lateness(tallies, "skipped-processing"))

	var text bytes.Buffer
	require.NoError(t, AppInfo{Groups: []GroupInfo{{Tasks: []TaskInfo{{Drops: infos}}}}}.WriteTable(&text))
	require.Contains(t, text.String(), "task 0 dropped 2 records: late-window at hourly, too late by up to 3m0s, the latest by 1m0s\n")
	require.Contains(t, text.String(), "task 0 dropped 1 records: skipped-processing at daily\n")
}

// A drop costs neither a lock nor an allocation, however many operators drop.
func TestDrops_allocateNothing(t *testing.T) {
	var d drops
	all := []engine.Drop{late(5, 3_000, time.Minute), {Node: "daily", Reason: topology.DropNullKey}}
	d.record(all[0])
	d.record(all[1])
	require.Zero(t, testing.AllocsPerRun(100, func() {
		d.record(all[0])
		d.record(all[1])
	}))
}
