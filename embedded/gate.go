package embedded

import (
	"context"
	"net"
	"sync"
)

// gate is the listener of the broker (EB3). The real port is taken from the beginning, so that a port in use is
// detected first, and clients that connect early wait in the kernel's backlog instead of being refused. Until open is
// called, however, the gate accepts only connections of dial, which stay inside the process. So the repair can use a
// broker that no other client can reach. kfake cannot start without a listener, and any client could connect to a
// second port, even a secret one.
type gate struct {
	tcp   net.Listener
	conns chan net.Conn

	closing sync.Once
	closed  chan struct{}

	opening sync.Once
	forward sync.WaitGroup
}

var _ net.Listener = (*gate)(nil)

// newGate returns a closed gate before tcp. The caller still owns tcp and closes it.
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

// Addr implements net.Listener. It returns the address of the real port, which the broker advertises.
func (g *gate) Addr() net.Addr { return g.tcp.Addr() }

// Close implements net.Listener. The port itself stays open.
func (g *gate) Close() error {
	g.closing.Do(func() { close(g.closed) })
	return nil
}

// open accepts connections of the real port from now on.
func (g *gate) open() {
	g.opening.Do(func() {
		g.forward.Go(func() {
			for {
				conn, err := g.tcp.Accept()
				if err != nil {
					return // the port was closed
				}
				if !g.pass(context.Background(), newLingeringConn(conn)) {
					conn.Close()
				}
			}
		})
	})
}

// wait waits until no more connections are passed on. The port must be closed before.
func (g *gate) wait() { g.forward.Wait() }

// dial connects to the broker inside the process. It ignores the address. It has the signature of kgo.Dialer.
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

// pass hands conn to Accept, and reports whether it was accepted.
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
