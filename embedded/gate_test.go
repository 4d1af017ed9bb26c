package embedded

import (
	"context"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestBroker_gateHoldsClientsBack shows that a client that connects early is served after the repair, not during it.
func TestBroker_gateHoldsClientsBack(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	g := newGate(tcp)
	outside, err := net.Dial("tcp", tcp.Addr().String())
	require.NoError(t, err)
	defer outside.Close()

	accepted := make(chan net.Conn)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := g.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	}()
	go func() {
		conn, err := g.dial(context.Background(), "tcp", "anywhere")
		if err == nil {
			conn.Close()
		}
	}()
	inside := <-accepted
	require.Equal(t, "pipe", inside.RemoteAddr().Network(), "the client from outside came first and still waits")
	inside.Close()

	g.open()
	conn := <-accepted
	require.Equal(t, outside.LocalAddr().String(), conn.RemoteAddr().String())
	conn.Close()

	require.NoError(t, g.Close())
	require.NoError(t, tcp.Close())
	g.wait()
	<-done
	_, err = g.dial(t.Context(), "tcp", "anywhere")
	require.ErrorIs(t, err, net.ErrClosed)
}
