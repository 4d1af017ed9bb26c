package broker

import (
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
)

// ErrFenced says that another owner took over: this writer can never commit again, and its open transaction is aborted.
var ErrFenced = errors.New("fenced: another owner took over")

// fencedOr wraps every error by which a broker says that another owner took over with ErrFenced. It returns other errors as
// they are.
func fencedOr(err error) error {
	for _, fenced := range []error{
		kerr.ProducerFenced, kerr.InvalidProducerEpoch, kerr.InvalidProducerIDMapping, kerr.FencedInstanceID,
	} {
		if errors.Is(err, fenced) {
			return fmt.Errorf("%w (%w)", ErrFenced, err)
		}
	}
	return err
}

// retriableInTransaction reports whether the coordinator only asks to try again: it is still ending the previous transaction,
// or it is moving.
func retriableInTransaction(err error) bool {
	return slices.ContainsFunc([]error{
		kerr.ConcurrentTransactions, kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable, kerr.NotCoordinator,
		kerr.UnknownTopicOrPartition,
	}, func(busy error) bool { return errors.Is(err, busy) })
}
