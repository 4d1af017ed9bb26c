package edge

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/state"
)

// restore brings the store up to the end of the changelog.
func (o *owner) restore(ctx context.Context) error {
	from, err := o.open(ctx)
	if err != nil {
		return err
	}
	start := o.clock()
	next, err := o.ledger.restore(ctx, from, o.applyChangelog)
	if err != nil {
		return err
	}
	o.log.Info("state restored", slog.Int64("from", from), slog.Int64("to", next), slog.Duration("took", o.clock().Sub(start)))
	return nil
}

// open opens the store and returns the changelog offset to continue from. A store of another changelog, or one that is
// ahead of this changelog, is dropped: its rows were not written to this changelog.
func (o *owner) open(ctx context.Context) (from int64, err error) {
	id, end, err := o.ledger.changelog(ctx)
	if err != nil {
		return 0, err
	}
	if o.store, err = o.engine.Open(o.partition); err != nil {
		return 0, fmt.Errorf("store of partition %d: %w", o.partition, err)
	}
	if last, ok := o.store.Offset(); ok {
		from = last + 1
	}
	known, ok, err := o.store.Get(nil, []byte(changelogKey))
	if err != nil {
		return 0, fmt.Errorf("store of partition %d: %w", o.partition, err)
	}
	if ok && string(known) == string(id[:]) && from <= end {
		return from, nil
	}
	if from > 0 {
		o.log.Warn("the local state belongs to another changelog and is restored from this one", slog.String("topic", o.ownerConfig.changelog))
		if err := o.engine.Drop(o.partition); err != nil {
			return 0, fmt.Errorf("drop store of partition %d: %w", o.partition, err)
		}
		if o.store, err = o.engine.Open(o.partition); err != nil {
			return 0, fmt.Errorf("store of partition %d: %w", o.partition, err)
		}
	}
	var batch state.Batch
	batch.SetLocal([]byte(changelogKey), id[:])
	if err := o.store.Apply(&batch); err != nil {
		return 0, fmt.Errorf("store of partition %d: %w", o.partition, err)
	}
	return 0, nil
}

// applyChangelog applies a run of committed changelog records. Of several records of one key it applies only the last
// one. It must: trackResultAge finds the age of the old result in the store, which does not have the rows of the run
// yet.
func (o *owner) applyChangelog(records []*kgo.Record) error {
	last := make(map[string]int, len(records))
	for i, record := range records {
		last[string(record.Key)] = i
	}
	var batch state.Batch
	for i, record := range records {
		if last[string(record.Key)] != i {
			continue
		}
		if err := o.trackResultAge(&batch, record.Key, record.Value); err != nil {
			return err
		}
		if record.Value == nil {
			batch.Delete(record.Key)
		} else {
			batch.Set(record.Key, record.Value)
		}
	}
	batch.SetOffset(records[len(records)-1].Offset)
	return o.store.Apply(&batch)
}

func (o *owner) changelogRecord(key, value []byte, timestamp int64) *kgo.Record {
	return &kgo.Record{
		Topic: o.changelog, Partition: o.partition, Key: key, Value: value, Timestamp: time.UnixMilli(timestamp),
	}
}
