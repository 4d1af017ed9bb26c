package pebblestore

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/seed84377926/millrace/state"
)

// users counts the users of a database. Closing waits for them and refuses new ones, because pebble panics when a
// closed database is used. A reader that enters again within its loop is refused, too: it must not wait for a close
// that waits for it.
type users struct {
	count *atomic.Int64 // the users; closing is added when close is called
	once  *sync.Once
	idle  chan struct{} // closed after close was called and the last user has left
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

// close refuses new users and waits for the current ones. It returns false if it was called before.
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

// closed reports whether close was called.
func (u users) closed() bool { return u.count.Load() < 0 }
