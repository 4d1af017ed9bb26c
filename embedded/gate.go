package embedded

import (
	"context"
	"net"
	"sync"
)

// gate is the listener of the embedded broker. It holds the real port from the
// beginning, so that a port in use is found out before anything else and
// clients that come early wait in the backlog of the kernel instead of being
// refused. But until open is called it accepts only connections made by dial,
// which never leave the process. That is what lets the repair talk to a broker
// that nobody else can reach: kfake cannot delay its listening, and a second,
// secret port would still be a port.
type gate struct {
	tcp   net.Listener
	conns chan net.Conn

	closing sync.Once
	closed  chan struct{}

	opening sync.Once
	forward sync.WaitGroup
}

var _ net.Listener = (*gate)(nil)

// newGate returns a gate before tcp, which stays the caller's to close.
func newGate(tcp net.Listener) *gate {
	return &gate{tcp: tcp, conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Accept implements net.Listener.
func (g *gate) Accept() (net.Conn, error) {
	select {
	case conn := <-g.conns:
		return conn, nil
	case <-g.closed:
		return nil, net.ErrClosed
	}
}

// Addr implements net.Listener: it is the address of the real port, which the
// broker advertises.
func (g *gate) Addr() net.Addr { return g.tcp.Addr() }

// Close implements net.Listener. The port itself stays open.
func (g *gate) Close() error {
	g.closing.Do(func() { close(g.closed) })
	return nil
}

// open lets the world in.
func (g *gate) open() {
	g.opening.Do(func() {
		g.forward.Go(func() {
			for {
				conn, err := g.tcp.Accept()
				if err != nil {
					return // the port was closed
				}
				if !g.pass(context.Background(), newLingering(conn)) {
					conn.Close()
				}
			}
		})
	})
}

// wait returns when no more connections are passed on. The port must have been
// closed.
func (g *gate) wait() { g.forward.Wait() }

// dial connects to the broker inside the process. The address does not matter.
// It has the signature of a dialer.
func (g *gate) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	if !g.pass(ctx, theirs) {
		ours.Close()
		theirs.Close()
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return nil, net.ErrClosed
	}
	return ours, nil
}

// pass hands conn to whoever accepts, and reports whether somebody did.
func (g *gate) pass(ctx context.Context, conn net.Conn) bool {
	select {
	case g.conns <- conn:
		return true
	case <-g.closed:
		return false
	case <-ctx.Done():
		return false
	}
}
