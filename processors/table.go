package processors

import (
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/state"
)

// restoredTable is a task's committed state as goka's recovery fills it, with an account of how far it is.
type restoredTable struct {
	part     state.Partition
	layout   *state.Layout
	batch    state.Batch
	progress RestoreProgress
	tell     func(RestoreProgress)
	logger   *slog.Logger
	logged   time.Time
	now      func() time.Time
}

// begin starts the account of a restore up to the changelog offset end.
func (t *restoredTable) begin(end int64) {
	t.progress.Start, t.progress.Next, t.progress.End = 0, 0, end
	t.progress.Records, t.progress.Done = 0, false
	if last, ok := t.part.Offset(); ok {
		t.progress.Start, t.progress.Next = last+1, last+1
	}
	t.logged = t.now()
}

func (t *restoredTable) finish() {
	t.progress.Done = true
	t.tell(t.progress)
	if t.progress.Records > 0 {
		t.logger.Info("restored", slog.Int64("records", t.progress.Records), slog.Int64("changelog_end", t.progress.End))
	}
}

// Get, Offset and Restore are what goka's side of the table needs (broker.TableStore).

func (t *restoredTable) Get(dst, key []byte) ([]byte, bool, error) { return t.part.Get(dst, key) }

func (t *restoredTable) Offset() (int64, bool) { return t.part.Offset() }

func (t *restoredTable) Restore(records []*kgo.Record, last int64) error {
	t.batch.Reset()
	if err := restoreRows(&t.batch, t.layout, records); err != nil {
		return err
	}
	t.batch.SetOffset(last)
	if err := t.part.Apply(&t.batch); err != nil {
		return err
	}
	t.progress.Next = last + 1
	t.progress.Records += int64(len(records))
	t.tell(t.progress)
	if now := t.now(); now.Sub(t.logged) > restoreLogInterval {
		t.logged = now
		t.logger.Info("restoring", slog.Int64("records", t.progress.Records),
			slog.Int64("next", t.progress.Next), slog.Int64("changelog_end", t.progress.End))
	}
	return nil
}

const restoreLogInterval = 5 * time.Second

// restoreRows turns changelog records into rows. Records of stores that the topology no longer has are left out.
func restoreRows(batch *state.Batch, layout *state.Layout, records []*kgo.Record) error {
	for _, rec := range records {
		if len(rec.Key) == 0 {
			continue
		}
		if _, err := layout.RestoreRow(batch, rec.Key, rec.Value); err != nil {
			return err
		}
	}
	return nil
}
