package broker

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// ErrFenced says that somebody else took over: this writer can never commit again and what it had open is aborted.
var ErrFenced = errors.New("fenced: another owner took over")

// fencedOr marks the broker's several words for "somebody took over" as ErrFenced and leaves other errors alone.
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

// retriableInTransaction says whether the coordinator merely asks for patience: it still ends the previous
// transaction, or is moving.
func retriableInTransaction(err error) bool {
	for _, busy := range []error{
		kerr.ConcurrentTransactions, kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable, kerr.NotCoordinator,
		kerr.UnknownTopicOrPartition,
	} {
		if errors.Is(err, busy) {
			return true
		}
	}
	return false
}
