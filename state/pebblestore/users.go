package pebblestore

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/seed84377926/millrace/state"
)

// users counts who is using a database, so that closing can wait for them and turn newcomers away: pebble panics when a
// closed database is used. A reader may enter again from within its loop: it is turned away as well rather than made to
// wait for a close that waits for it.
type users struct {
	count *atomic.Int64 // plus closing, once
	once  *sync.Once
	idle  chan struct{} // closed when closing and nobody is left
}

const closing = math.MinInt64 / 2

func newUsers() users {
	return users{count: new(atomic.Int64), once: new(sync.Once), idle: make(chan struct{})}
}

func (u users) enter() error {
	if u.count.Add(1) < 0 {
		u.leave()
		return state.ErrClosed
	}
	return nil
}

func (u users) leave() {
	if u.count.Add(-1) == closing {
		u.once.Do(func() { close(u.idle) })
	}
}

// close turns newcomers away and waits for the others. It reports false if it was called before.
func (u users) close() bool {
	for {
		n := u.count.Load()
		if n < 0 {
			return false
		}
		if u.count.CompareAndSwap(n, n+closing) {
			if n > 0 {
				<-u.idle
			}
			return true
		}
	}
}

// closed says whether close was called.
func (u users) closed() bool { return u.count.Load() < 0 }
