package processors

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/topology/engine"
)

// alignAgain is how old what a task knows of the others may be, and so how long it waits before it looks again.
const alignAgain = 250 * time.Millisecond

// alignment lets the fast tasks of a group wait for the slow ones (Config.AlignWithin). Each commit notes the stream
// time of its task beside the offsets, where all instances can read it. The tasks of the group on this instance share
// what was read.
type alignment struct {
	client *broker.Client
	within time.Duration

	mu    sync.Mutex // held while Kafka is asked
	at    time.Time
	times map[int32]int64 // committed stream times by partition, without those of idle tasks
}

// timeNote is what a commit notes about its task.
const timeNote = "time="

func noteOf(at int64) string {
	if at == engine.IdleTime {
		return timeNote + "idle"
	}
	return timeNote + strconv.FormatInt(at, 10)
}

// bound returns the largest timestamp that the task of a partition may process, and the partition of the task that it
// would have to wait for. Tasks that have committed nothing yet, and idle ones, are not waited for.
func (a *alignment) bound(ctx context.Context, plan *groupPlan, partition int32) (largest int64, slowest int32, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if time.Since(a.at) >= alignAgain {
		a.at, a.times = time.Now(), make(map[int32]int64)
		notes, err := a.client.GroupNotes(ctx, plan.sub.Group())
		if err != nil {
			return 0, 0, fmt.Errorf("times of the other tasks: %w", err)
		}
		inputs := plan.topics()
		for tp, note := range notes {
			_, text, ok := strings.Cut(note, timeNote)
			if at, err := strconv.ParseInt(text, 10, 64); ok && err == nil && slices.Contains(inputs, tp.Topic) {
				a.times[tp.Partition] = max(at, a.times[tp.Partition])
			}
		}
	}
	largest, slowest = math.MaxInt64, -1
	for p, at := range a.times {
		if p != partition && at < largest {
			largest, slowest = at, p
		}
	}
	if slowest >= 0 {
		largest += a.within.Milliseconds()
	}
	return largest, slowest, nil
}

// align bounds what the task takes from its external inputs next, so that it is not further ahead of the slowest task
// of its group than it may be.
func (l *life) align(ctx context.Context) error {
	a := &l.group.alignment
	if a.within <= 0 || len(l.plan.marks) == 0 {
		return nil
	}
	bound, slowest, err := a.bound(ctx, l.plan, l.partition)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		l.logger.Warn("the task does not wait for slower ones (Config.AlignWithin) until their times can be read", slog.Any("error", err))
		bound = math.MaxInt64
	}
	l.inputs.bound, l.inputs.slowest = bound, slowest
	return nil
}

// note says with the next commit how far the task has come in its external inputs.
func (l *life) note() {
	if l.group.alignment.within <= 0 || len(l.plan.marks) == 0 {
		return
	}
	at := l.operators.Watermark(func(topic string) bool { return l.plan.upstream[topic] == nil })
	if at = max(at, l.inputs.blockedAt); at != engine.UnknownTime {
		l.writer.SetNote(noteOf(at))
	}
	l.noted = l.inputs.blockedAt
}

// noteGap opens a transaction if the task has to wait at a record and has not told the others where. It has come to
// that record: if there is a gap in the data that is longer than AlignWithin, all tasks wait, and those with the
// smallest records may go on.
func (l *life) noteGap() error {
	if at := l.inputs.blockedAt; at == engine.UnknownTime || at == l.noted {
		return nil
	}
	return l.openTransaction()
}
