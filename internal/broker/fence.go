package broker

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// ErrFenced says that another owner took over: this writer can never commit again, and its open transaction is aborted.
var ErrFenced = errors.New("fenced: another owner took over")

// fencedOr wraps err with ErrFenced if it is a broker's way to say that another owner took over. It returns other
// errors as they are.
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
