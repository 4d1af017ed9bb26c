package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/state/pebblestore"
)

// acquire makes this owner the only one and its store complete. After it returns a writer, the store has everything
// that any owner ever committed, and no earlier owner can commit any more. It tries until it succeeds, the owner is
// stopped, or another instance turns out to own the partition. failure is the error that ended the previous ownership,
// if any.
//
// A failed transaction does not show whether another instance took over: a lost fence appears as one of several errors,
// and each of them has other causes, too, such as a transaction that exceeded its timeout. So after a failure the owner
// first reads the last claim of the partition, and steps down if another instance made it. Otherwise two owners could
// fence each other forever. Every owner claims before it fences, so the claim of the owner that fenced this one is
// seen.
func (o *owner) acquire(ctx context.Context, failure error) (writer, error) {
	ctx, cancel := o.untilStopped(ctx)
	defer cancel()
	claimed := failure != nil
	for ctx.Err() == nil {
		o.setStatus(takingOver, reason(failure))
		o.dropDamaged(failure)
		if claimed {
			failure = o.checkClaim(ctx)
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
			o.setStatus(takingOver, reason(failure))
			_ = sleep(ctx, o.backoff) // the loop looks at ctx
		}
	}
	return nil, errStopped
}

// dropDamaged drops the store if failure says that it is damaged. The restore that follows brings back all of it.
func (o *owner) dropDamaged(failure error) {
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

// takeOver takes the partition over. The order of its steps is the proof. First the claim, which an owner that gets
// fenced will read. Then the fence: the broker ends the open transaction of the previous owner and refuses that owner
// from then on. Then the restore up to the end of the changelog, which now includes everything that other owners
// committed.
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
		return nil, neverFenced(err)
	}
	o.setStatus(restoring, "the state is read from the changelog")
	if err := o.restore(ctx); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// neverFenced hides ErrFenced in the error of a failed takeover: only checkClaim decides that the owner steps down.
func neverFenced(err error) error { return fmt.Errorf("take over: %v", err) } //nolint:errorlint // ErrFenced must not show through

// checkClaim returns nil if the last claim is this instance's, ErrFenced if another instance claimed the partition
// later, and another error if it cannot find out.
func (o *owner) checkClaim(ctx context.Context) error {
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

// resolve answers the commands of a transaction with an unknown outcome, now that the store is complete. A command with
// a key has its answer in the store if, and only if, it was executed.
func (o *owner) resolve(unresolved []*pending) {
	for _, p := range unresolved {
		if p.key == "" {
			o.fail(p, outcomeUnknown(false))
			continue
		}
		stored, found, err := o.storedResult(p)
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

// sleep waits for d. If ctx ends first, it returns errStopped and the cause.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return errors.Join(errStopped, context.Cause(ctx))
	}
}
