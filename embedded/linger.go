package embedded

import (
	"net"
	"sync"
	"time"
)

// lingerTime is longer than any rebalance waits for a member.
const lingerTime = 30 * time.Second

// lingeringConn is a connection whose end the broker notices late. kfake starts the session timeout of a group member
// when it answers the member's JoinGroup or SyncGroup, but not if it knows that the connection is closed. So an
// instance that is killed while it waits for that answer would stay in the group for ever, with its partitions. If
// kfake answers on a connection that it believes to be open, it starts the timeout and later removes the member, like
// Kafka.
type lingeringConn struct {
	net.Conn

	closing sync.Once
	closed  chan struct{}
}

func newLingeringConn(conn net.Conn) *lingeringConn {
	return &lingeringConn{Conn: conn, closed: make(chan struct{})}
}

// Read implements net.Conn.
func (c *lingeringConn) Read(p []byte) (int, error) {
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
func (c *lingeringConn) Close() error {
	c.closing.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
