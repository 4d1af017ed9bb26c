package processors

import (
	"context"
	"time"
)

// retryBackoff doubles pauses from 50 ms to 5 s.
type retryBackoff struct{ last time.Duration }

func (b *retryBackoff) next() time.Duration {
	b.last = min(max(2*b.last, 50*time.Millisecond), 5*time.Second)
	return b.last
}

func (b *retryBackoff) reset() { b.last = 0 }

// sleep waits for d. It returns false if ctx ends or stopping, which may be nil, is closed before.
func sleep(ctx context.Context, d time.Duration, stopping <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-stopping:
		return false
	case <-ctx.Done():
		return false
	}
}
