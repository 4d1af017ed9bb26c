package processors

import (
	"context"
	"sync"
	"time"
)

// background runs run on a goroutine. The function it returns ends the context of run and waits for it.
func background(ctx context.Context, run func(ctx context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { run(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

// pause waits for d and reports whether it could: ctx has not ended meanwhile, and stopping, which may be nil, was not closed.
func pause(ctx context.Context, d time.Duration, stopping <-chan struct{}) bool {
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

func isClosed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}
