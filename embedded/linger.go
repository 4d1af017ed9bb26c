package embedded

import (
	"net"
	"sync"
	"time"
)

// lingerTime is longer than any rebalance waits for a member.
const lingerTime = 30 * time.Second

// lingering is a connection to the embedded broker whose end the broker learns
// a while late. kfake starts the session timeout of a group member when it
// answers the member's JoinGroup or SyncGroup, but not if it knows that the
// connection is gone: an instance killed while it waits for that answer would
// stay in the group for ever, and its partitions with it. A broker that answers
// into the void starts the timeout and removes the member when it is over, like
// Kafka.
type lingering struct {
	net.Conn

	closing sync.Once
	closed  chan struct{}
}

func newLingering(conn net.Conn) *lingering {
	return &lingering{Conn: conn, closed: make(chan struct{})}
}

// Read implements net.Conn.
func (c *lingering) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n == 0 && err != nil {
		timer := time.NewTimer(lingerTime)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-c.closed:
		}
	}
	return n, err
}

// Close implements net.Conn. It ends a Read that lingers.
func (c *lingering) Close() error {
	c.closing.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
