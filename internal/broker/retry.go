package broker

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// retry calls ask until it succeeds or its error is not retriable, with a pause after each failure. It ends with ctx.
func retry(ctx context.Context, interval time.Duration, retriable func(error) bool, ask func() error) error {
	for {
		err := ask()
		if err == nil || !retriable(err) {
			return err
		}
		if err := pause(ctx, interval); err != nil {
			return err
		}
	}
}

// pause waits for d or for the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// retriableInTransaction reports whether the coordinator only asks to try again: it is still ending the previous
// transaction, or it is moving.
func retriableInTransaction(err error) bool {
	return slices.ContainsFunc([]error{
		kerr.ConcurrentTransactions, kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable, kerr.NotCoordinator,
		kerr.UnknownTopicOrPartition,
	}, func(busy error) bool { return errors.Is(err, busy) })
}
