package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/state/pebblestore"
)

// acquire makes this owner the only one, and its store complete: after it returns, whatever any owner ever committed
// is in the store, and nobody before us can commit any more. It tries until it succeeds, the owner is stopped, or
// another instance turns out to own the partition. failure is what ended the time as owner before this, if any.
//
// A failed transaction does not say whether somebody took over: losing the fence shows as one of several errors, and
// all of them have other causes too, such as a transaction that outlasted its timeout. So after a failure the owner
// first looks who claimed the partition last, and steps down if that was somebody else: two owners that both insist
// would only fence each other for ever. Everybody claims before they fence, so whoever fenced us is seen.
func (o *owner) acquire(ctx context.Context, failure error) (writer, error) {
	ctx, cancel := o.untilStopped(ctx)
	defer cancel()
	claimed := failure != nil
	for ctx.Err() == nil {
		o.become(takingOver, reason(failure))
		o.mend(failure)
		if claimed {
			failure = o.yield(ctx)
		}
		if isFenced(failure) {
			return nil, failure
		}
		if !claimed || failure == nil {
			var w writer
			if w, failure = o.takeOver(ctx); failure == nil {
				return w, nil
			}
			claimed = true
		}
		if ctx.Err() == nil {
			o.log.Warn("takeover failed", slog.Any("error", failure))
			o.become(takingOver, reason(failure))
			_ = wait(ctx, o.backoff) // the loop looks at ctx
		}
	}
	return nil, errStopped
}

// mend drops the store if failure says that it is damaged: the restore that follows brings all of it back.
func (o *owner) mend(failure error) {
	if !errors.Is(failure, pebblestore.ErrCorrupt) {
		return
	}
	o.mu.Lock()
	o.mu.damaged++
	o.mu.Unlock()
	o.log.Error("the local state is damaged and is restored from its changelog", slog.Any("error", failure))
	if err := o.engine.Drop(o.partition); err != nil {
		o.log.Error("the damaged state cannot be dropped; it is tried again", slog.Any("error", err))
	}
}

func reason(err error) string {
	if err == nil {
		return "the server has just begun"
	}
	return err.Error()
}

// untilStopped returns a context that ends with ctx or when the owner is told to stop.
func (o *owner) untilStopped(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		select {
		case <-o.stopping:
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// takeOver is the protocol; the order is the proof. First our name, for those who will wonder. Then the fence: the
// broker ends the open transaction of whoever owned before and refuses it for good. Then everything up to the end of
// the changelog, which lies behind all that the others committed.
func (o *owner) takeOver(ctx context.Context) (writer, error) {
	row, err := o.claim.row()
	if err != nil {
		return nil, err
	}
	if err := o.ledger.claim(ctx, row); err != nil {
		return nil, fmt.Errorf("claim partition %d: %w", o.partition, err)
	}
	w, err := o.ledger.takeOver(ctx)
	if err != nil {
		return nil, refused(err)
	}
	o.become(restoring, "the state is read from the changelog")
	if err := o.restore(ctx); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// refused marks a failed takeover. It is never the end, whatever the broker says: nobody but acquire decides to step
// down.
func refused(err error) error { return fmt.Errorf("take over: %v", err) } //nolint:errorlint // ErrFenced must not show through

func (o *owner) changelogRecord(key, value []byte, timestamp int64) *kgo.Record {
	return &kgo.Record{
		Topic: o.changelog, Partition: o.partition, Key: key, Value: value, Timestamp: time.UnixMilli(timestamp),
	}
}

// yield returns an error that is ErrFenced if another instance claimed the partition after us, and another error if it
// cannot find out.
func (o *owner) yield(ctx context.Context) error {
	row, err := o.ledger.claimed(ctx)
	if err != nil {
		return fmt.Errorf("find out who owns partition %d: %w", o.partition, err)
	}
	last, err := decodeClaim(row)
	if err != nil {
		return fmt.Errorf("find out who owns partition %d: %w", o.partition, err)
	}
	if last.Instance != o.claim.Instance {
		return fmt.Errorf("%w: instance %s at %s owns partition %d since %s",
			broker.ErrFenced, last.Instance, last.Address, o.partition, last.Since.Format(time.RFC3339))
	}
	return nil
}

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

// open opens the store and returns the changelog offset to go on from. A store that belongs to another changelog, or
// that is ahead of this one, is dropped: its rows were never written here.
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
		o.log.Warn("the local state is not that of this changelog and is built anew", slog.String("topic", o.ownerConfig.changelog))
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

// applyChangelog applies a run of committed changelog records. Of several records of one key only the last matters, and
// must: the index row of a result is found by the row that is in the store.
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
		if err := o.index(&batch, record.Key, record.Value); err != nil {
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

// index keeps the results findable by age: it replaces the local row of a result row that is written or deleted.
func (o *owner) index(batch *state.Batch, key, value []byte) error {
	name, storeKey, ok := state.SplitRowKey(key)
	if !ok || name != resultStore {
		return nil
	}
	old, exists, err := o.store.Get(nil, key)
	if err != nil {
		return err
	}
	if exists {
		timestamp, _, err := state.SplitRowValue(old)
		if err != nil {
			return err
		}
		batch.DeleteLocal(indexKey(timestamp, storeKey))
	}
	if value != nil {
		timestamp, _, err := state.SplitRowValue(value)
		if err != nil {
			return err
		}
		batch.SetLocal(indexKey(timestamp, storeKey), nil)
	}
	return nil
}

// settle answers the commands of a transaction with an unknown outcome, now that the store is complete: those with a
// key have their answer in the store if, and only if, they were executed.
func (o *owner) settle(unresolved []*pending) {
	for _, p := range unresolved {
		if p.key == "" {
			o.fail(p, outcomeUnknown(false))
			continue
		}
		stored, found, err := o.stored(p)
		switch {
		case err != nil:
			o.log.Error("cannot read a stored answer", slog.Any("error", err))
			o.fail(p, outcomeUnknown(true))
		case found && stored.fingerprint == p.fingerprint:
			o.finish(p, &stored.answer)
		default:
			o.fail(p, notExecuted())
		}
	}
}

// stored returns the answer that was stored for the key of p, if it is within the window.
func (o *owner) stored(p *pending) (result, bool, error) {
	row, ok, err := o.store.Get(nil, resultKey(p.id, p.key))
	if err != nil || !ok {
		return result{}, false, err
	}
	r, err := decodeResult(row)
	if err != nil {
		return result{}, false, err
	}
	if r.timestamp < o.expiry() {
		return result{}, false, nil
	}
	return r, true, nil
}

// expiry is the time before which results are forgotten.
func (o *owner) expiry() int64 { return o.clock().Add(-o.window).UnixMilli() }

// wait waits for d or the end of ctx, whose error it returns.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return errors.Join(errStopped, context.Cause(ctx))
	}
}
