package processors

import (
	"context"
	"log/slog"
	"time"

	"github.com/seed84377926/millrace/internal/broker"
)

// indexChunk is how many rows are put into new indexes for each commit.
const indexChunk = 10_000

// buildIndexes builds the indexes that this version of the topology has added to tables with rows, before any record is processed.
// What is built is committed in chunks, so that a task that takes over goes on where this one was. It returns early if the task is
// stopping.
func (t *task) buildIndexes(ctx context.Context, sessions *broker.Sessions) error {
	if !t.life.task.Building() {
		return nil
	}
	began := time.Now()
	logged, total := began, 0
	for t.life.task.Building() && !t.isStopping() {
		if err := t.openTransaction(); err != nil {
			return err
		}
		rows, err := t.life.task.BuildIndexes(indexChunk)
		if err != nil {
			return err
		}
		if err := t.commit(ctx, sessions); err != nil {
			return err
		}
		total += rows
		if now := time.Now(); now.Sub(logged) >= restoreLogInterval {
			t.logger.Info("building indexes", slog.Int("rows", total), slog.Duration("took", now.Sub(began)))
			logged = now
		}
	}
	if total > 0 && !t.life.task.Building() {
		t.logger.Info("indexes are built", slog.Int("rows", total), slog.Duration("took", time.Since(began)))
	}
	return nil
}
