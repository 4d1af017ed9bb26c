package processors

import (
	"context"
	"log/slog"
	"time"

	"github.com/seed84377926/millrace/internal/broker"
)

// indexChunk is how many rows each commit adds to new indexes.
const indexChunk = 10_000

// buildIndexes builds the secondary indexes that this version of the topology has added to tables with rows, before any
// record is processed. It commits in chunks, so that the next owner of the task goes on where this one was. It returns
// early if the task is stopping.
func (l *life) buildIndexes(ctx context.Context, sessions *broker.Sessions) error {
	if !l.operators.Preparing() {
		return nil
	}
	began := time.Now()
	logged, total := began, 0
	for l.operators.Preparing() && !l.task.isStopping() {
		if err := l.openTransaction(); err != nil {
			return err
		}
		rows, err := l.operators.Prepare(indexChunk)
		if err != nil {
			return err
		}
		if err := l.commit(ctx, sessions); err != nil {
			return err
		}
		total += rows
		if now := time.Now(); now.Sub(logged) >= restoreLogInterval {
			l.logger.Info("building indexes", slog.Int("rows", total), slog.Duration("took", now.Sub(began)))
			logged = now
		}
	}
	if total > 0 && !l.operators.Preparing() {
		l.logger.Info("indexes are built", slog.Int("rows", total), slog.Duration("took", time.Since(began)))
	}
	return nil
}
