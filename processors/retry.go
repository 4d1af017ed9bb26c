package processors

import (
	"errors"
	"time"

	"github.com/seed84377926/millrace/topology"
)

// isRecordsFault says whether a record, or what the operators make of it, is to blame, and not a broker or a disk. Trying
// again may not help then.
func isRecordsFault(err error) bool {
	var decode *topology.DecodeError
	var record *topology.RecordError
	return errors.As(err, &decode) || errors.As(err, &record)
}

// retryBackoff doubles pauses from 50 ms to 5 s.
type retryBackoff struct{ last time.Duration }

func (b *retryBackoff) next() time.Duration {
	b.last = min(max(2*b.last, 50*time.Millisecond), 5*time.Second)
	return b.last
}

func (b *retryBackoff) reset() { b.last = 0 }
