package processors

import (
	"context"
	"sync"
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

// isClosed reports whether done is closed. Nothing is ever sent on done.
func isClosed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}
