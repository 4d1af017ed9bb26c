package processors

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/seed84377926/millrace/processors/internal/observe"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
)

// dropLogPause is the least time between two lines of the log about what one operator drops for one reason.
const dropLogPause = 30 * time.Second

// drops counts what the operators of a task drop, and logs it: the first drop of an operator and a reason soon, later
// ones together, and the last ones at the end of the task, so that none is missing in the log. The goroutine that runs
// the task counts in plain numbers; it reads no clock for a drop.
type drops struct {
	tallies   []dropTally
	unlogged  bool // a tally has drops that the log lacks
	published bool // nothing was counted since the tallies were copied
}

// dropTally counts the drops of one operator for one reason.
type dropTally struct {
	node, reason string
	records      int64
	late         int64 // of the latest drop, milliseconds
	largest      int64 // of all drops

	// Since the last line of the log.
	unlogged int64
	latest   int64 // the largest late of these drops
	example  engine.Drop
	next     time.Time // when the next line may be written
}

// record counts a drop.
func (d *drops) record(drop engine.Drop) {
	t := d.count(drop.Node, drop.Reason)
	t.late, t.largest = drop.Late, max(t.largest, drop.Late)
	if t.unlogged == 0 || drop.Late > t.latest {
		t.latest, t.example = drop.Late, drop
	}
	t.unlogged++
	d.unlogged = true
}

// count counts a drop that is logged elsewhere, if it is.
func (d *drops) count(node, reason string) *dropTally {
	d.published = false
	i := slices.IndexFunc(d.tallies, func(t dropTally) bool { return t.node == node && t.reason == reason })
	if i < 0 {
		i = len(d.tallies)
		d.tallies = append(d.tallies, dropTally{node: node, reason: reason})
	}
	t := &d.tallies[i]
	t.records++
	return t
}

// log writes the lines that are due, or one for each tally that has drops which the log lacks.
func (d *drops) log(logger *slog.Logger, now time.Time, all bool) {
	if !d.unlogged {
		return
	}
	d.unlogged = false
	for i := range d.tallies {
		t := &d.tallies[i]
		switch {
		case t.unlogged == 0:
		case all || !now.Before(t.next):
			t.log(logger)
			t.unlogged, t.latest, t.next = 0, 0, now.Add(dropLogPause)
		default:
			d.unlogged = true
		}
	}
}

// due returns when the next line may be written, and false if the log lacks nothing.
func (d *drops) due() (at time.Time, ok bool) {
	if !d.unlogged {
		return at, false
	}
	for i := range d.tallies {
		if t := &d.tallies[i]; t.unlogged > 0 && (!ok || t.next.Before(at)) {
			at, ok = t.next, true
		}
	}
	return at, ok
}

func (t *dropTally) log(logger *slog.Logger) {
	const millis = "2006-01-02T15:04:05.000Z07:00" // slog refuses years after 9999
	attrs := []slog.Attr{
		slog.String("node", t.node), slog.String("reason", t.reason), slog.Int64("drops", t.unlogged),
	}
	if t.latest > 0 {
		attrs = append(attrs, slog.Duration("late", observe.Millis(t.latest)))
	}
	if t.example.Topic != "" {
		attrs = append(attrs, slog.String("topic", t.example.Topic), slog.Int64("offset", t.example.Offset))
	}
	attrs = append(attrs, slog.String("timestamp", time.UnixMilli(t.example.Timestamp).UTC().Format(millis)))
	if t.latest > 0 {
		logger.LogAttrs(context.Background(), dropLevel(t.reason), "records dropped because they came too late", attrs...)
		return
	}
	logger.LogAttrs(context.Background(), dropLevel(t.reason), "records dropped", attrs...)
}

// dropLevel returns the level at which a drop is logged: INFO if the operator drops such records in a sound
// application, WARN if data of the user is missing in the results.
func dropLevel(reason string) slog.Level {
	switch reason {
	case topology.DropNoPartition, topology.DropStale, topology.DropNullForeignKey, topology.DropOutdated:
		return slog.LevelInfo
	default:
		return slog.LevelWarn
	}
}

// publish copies the tallies to dst, if they have changed since the last call.
func (d *drops) publish(dst []dropTally) []dropTally {
	if d.published {
		return dst
	}
	d.published = true
	return append(dst[:0], d.tallies...)
}

// DropInfo counts what an operator of a task has dropped for one reason.
type DropInfo struct {
	// Node is the operator or, for a record that a policy skipped, where it failed. Reason is a Drop constant of
	// package topology, or "skipped-" and the kind of the failure.
	Node    string `json:"node"`
	Reason  string `json:"reason"`
	Records int64  `json:"records"`
	// LateSeconds is by how much the latest one was too late, see [engine.Drop], and MaxLateSeconds the largest of all.
	LateSeconds    float64 `json:"late_seconds,omitempty"`
	MaxLateSeconds float64 `json:"max_late_seconds,omitempty"`
}

// dropInfo describes tallies, and sums them up by reason; the sums are nil if there are none.
func dropInfo(tallies []dropTally) (infos []DropInfo, sums map[string]int64) {
	for i := range tallies {
		t := &tallies[i]
		if sums == nil {
			sums = make(map[string]int64)
		}
		sums[t.reason] += t.records
		infos = append(infos, DropInfo{
			Node: t.node, Reason: t.reason, Records: t.records,
			LateSeconds: observe.Millis(t.late).Seconds(), MaxLateSeconds: observe.Millis(t.largest).Seconds(),
		})
	}
	return infos, sums
}

// lateness returns by how much records that were dropped for a reason came too late at most.
func lateness(tallies []dropTally, reason string) (late time.Duration) {
	for i := range tallies {
		if t := &tallies[i]; t.reason == reason {
			late = max(late, observe.Millis(t.largest))
		}
	}
	return late
}
