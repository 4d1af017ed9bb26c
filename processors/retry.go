package processors

import "time"

// retryBackoff doubles pauses from 50 ms to 5 s.
type retryBackoff struct{ last time.Duration }

func (b *retryBackoff) next() time.Duration {
	b.last = min(max(2*b.last, 50*time.Millisecond), 5*time.Second)
	return b.last
}

func (b *retryBackoff) reset() { b.last = 0 }
