package processors

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/state"
)

// restoredTable is the committed state of a partition, which goka's recovery fills before a task works on it, together
// with the progress of the restore. A standby follows one for as long as it lives, and keeps no progress.
type restoredTable struct {
	part     state.Partition
	layout   *state.Layout
	batch    state.Batch
	large    bool  // the batch has grown to the size of a run in bulk
	failure  error // why the last restore could not write what it read; goka's error does not carry it
	progress RestoreProgress
	report   func(RestoreProgress)
	logger   *slog.Logger
	began    time.Time // zero unless a task restores
	logged   time.Time
	now      func() time.Time
}

// largeBatch is larger than the batches of a table that a standby follows.
const largeBatch = 1 << 20

// restoreLogInterval is how often a restore that takes long logs its progress.
const restoreLogInterval = 5 * time.Second

// begin starts the progress of a restore up to the changelog offset end.
func (t *restoredTable) begin(end int64) {
	t.progress = RestoreProgress{Group: t.progress.Group, Partition: t.progress.Partition, End: end}
	t.failure = nil
	if last, ok := t.part.Offset(); ok {
		t.progress.Start, t.progress.Next = last+1, last+1
	}
	t.began = t.now()
	t.logged = t.began
}

// finish ends the progress of a restore.
func (t *restoredTable) finish() {
	t.batch, t.large = state.Batch{}, false
	t.progress.Done = true
	t.measure(t.now())
	t.report(t.progress)
	if t.progress.Records > 0 {
		t.logger.Info("restored", t.attrs()...)
	}
	t.began = time.Time{}
}

// measure computes the parts of the progress that follow from the offsets and the time.
func (t *restoredTable) measure(now time.Time) {
	p := &t.progress
	p.Elapsed = now.Sub(t.began)
	p.Remaining, p.Rate, p.ETA = max(p.End-p.Next, 0), 0, 0
	if p.Done {
		p.Remaining = 0
	}
	seconds := p.Elapsed.Seconds()
	if seconds <= 0 {
		return
	}
	p.Rate = float64(p.Records) / seconds
	// Offsets and not records: the broker's compaction and the markers leave gaps.
	if done := p.Next - p.Start; done > 0 {
		p.ETA = time.Duration(float64(p.Elapsed) * float64(p.Remaining) / float64(done))
	}
}

// attrs returns the progress for the log.
func (t *restoredTable) attrs() []any {
	p := &t.progress
	attrs := []any{
		slog.Int64("records", p.Records), slog.Int64("rows", p.Rows), slog.Int64("bytes", p.Bytes),
		slog.Int64("records_per_second", int64(p.Rate)), slog.Duration("elapsed", p.Elapsed.Round(time.Millisecond)),
		slog.Int64("start", p.Start), slog.Int64("changelog_end", p.End),
	}
	if !p.Done {
		attrs = append(attrs, slog.Int64("next", p.Next), slog.Int64("remaining", p.Remaining), slog.Duration("eta", p.ETA.Round(time.Second)))
	}
	return attrs
}

// Get, Offset and Restore are what goka's side of the table needs (broker.TableStore).

func (t *restoredTable) Get(dst, key []byte) ([]byte, bool, error) { return t.part.Get(dst, key) }

func (t *restoredTable) Offset() (int64, bool) { return t.part.Offset() }

func (t *restoredTable) Restore(run *broker.Run) error {
	if t.large && run.Bytes() < largeBatch {
		t.batch = state.Batch{}
	}
	t.batch.Reset()
	if err := restoreRows(&t.batch, t.layout, run); err != nil {
		return err
	}
	t.batch.SetOffset(run.Last())
	if err := t.part.Apply(&t.batch); err != nil {
		t.failure = err
		return err
	}
	t.large = t.batch.Size() > largeBatch
	if t.began.IsZero() {
		return nil // a standby follows the table
	}
	now := t.now()
	t.progress.Next = run.Last() + 1
	t.progress.Records += int64(run.Records())
	t.progress.Rows += int64(t.batch.Len())
	t.progress.Bytes += run.Bytes()
	t.measure(now)
	t.report(t.progress)
	if now.Sub(t.logged) > restoreLogInterval {
		t.logged = now
		t.logger.Info("restoring", t.attrs()...)
	}
	return nil
}

// restoreRows turns the rows of a run into a batch. Rows of stores that the topology no longer has are left out.
func restoreRows(batch *state.Batch, layout *state.Layout, run *broker.Run) error {
	for key, value := range run.Rows() {
		if _, err := layout.RestoreRow(batch, key, value); err != nil {
			return fmt.Errorf("changelog up to offset %d: %w", run.Last(), err)
		}
	}
	return nil
}
