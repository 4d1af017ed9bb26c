//go:build unix

package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// proxy stands between the workers and the brokers. It forwards everything, with three exceptions. It writes its own
// addresses into answers that have the addresses of brokers, so that no worker bypasses it. It loses answers to EndTxn:
// the broker has committed, and the connection breaks before the worker gets the answer. It delays answers to
// heartbeats, so that a worker that has lost its tasks goes on for a while without knowing.
type proxy struct {
	// lose reports whether an answer to EndTxn is lost, hold how long an answer to Heartbeat is delayed. They may be
	// called from several goroutines.
	lose func() bool
	hold func() time.Duration
	lost atomic.Int64
	done chan struct{} // closed by close

	mu struct {
		sync.Mutex
		closed bool
		fronts map[string]*front // by the address of the broker
		conns  map[net.Conn]struct{}
	}
	running sync.WaitGroup
}

// front listens for one broker.
type front struct {
	listener net.Listener
	address  string
}

// newProxy returns a proxy that loses and delays answers as lose and hold say. Close it.
func newProxy(lose func() bool, hold func() time.Duration) *proxy {
	p := &proxy{lose: lose, hold: hold, done: make(chan struct{})}
	p.mu.fronts = make(map[string]*front)
	p.mu.conns = make(map[net.Conn]struct{})
	return p
}

// front returns the address at which the proxy stands for a broker.
func (p *proxy) front(address string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.closed {
		return "", net.ErrClosed
	}
	if f := p.mu.fronts[address]; f != nil {
		return f.address, nil
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("proxy: %w", err)
	}
	p.mu.fronts[address] = &front{listener, listener.Addr().String()}
	p.running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			p.running.Go(func() { p.serve(conn, address) })
		}
	})
	return listener.Addr().String(), nil
}

// close ends all connections and waits for the proxy's goroutines.
func (p *proxy) close() {
	close(p.done)
	p.mu.Lock()
	p.mu.closed = true
	for _, f := range p.mu.fronts {
		f.listener.Close()
	}
	for conn := range p.mu.conns {
		conn.Close()
	}
	p.mu.Unlock()
	p.running.Wait()
}

// keep registers a connection for close, and returns false if the proxy is closed.
func (p *proxy) keep(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.mu.closed {
		p.mu.conns[conn] = struct{}{}
	}
	return !p.mu.closed
}

func (p *proxy) drop(conn net.Conn) {
	conn.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.mu.conns, conn)
}

// serve connects one client with the broker until one of them disconnects.
func (p *proxy) serve(client net.Conn, address string) {
	defer p.drop(client)
	if !p.keep(client) {
		return
	}
	broker, err := new(net.Dialer).DialContext(context.Background(), "tcp", address)
	if err != nil {
		return
	}
	defer p.drop(broker)
	if !p.keep(broker) {
		return
	}
	l := &link{proxy: p, client: client, broker: broker}
	l.mu.asked = make(map[int32]asked)
	var requests sync.WaitGroup
	requests.Go(func() {
		defer broker.Close()
		_ = l.requests() // either side going away ends the link, which is all there is to do about it
	})
	_ = l.answers()
	client.Close()
	broker.Close()
	requests.Wait()
}

// asked is the kind of request that an answer belongs to.
type asked struct{ key, version int16 }

// link is one connection through the proxy.
type link struct {
	proxy          *proxy
	client, broker net.Conn

	mu struct {
		sync.Mutex
		asked map[int32]asked // by correlation id
	}
}

func (l *link) requests() error {
	in := bufio.NewReader(l.client)
	var buf []byte
	for {
		frame, err := readFrame(in, buf)
		if err != nil {
			return err
		}
		if buf = frame; len(frame) < 4+8 {
			return errors.New("request without a header")
		}
		body := frame[4:]
		id := int32(binary.BigEndian.Uint32(body[4:]))
		l.mu.Lock()
		l.mu.asked[id] = asked{int16(binary.BigEndian.Uint16(body)), int16(binary.BigEndian.Uint16(body[2:]))}
		l.mu.Unlock()
		if _, err := l.broker.Write(frame); err != nil {
			return err
		}
	}
}

func (l *link) answers() error {
	in := bufio.NewReader(l.broker)
	var buf []byte
	for {
		frame, err := readFrame(in, buf)
		if err != nil {
			return err
		}
		if buf = frame; len(frame) < 4+4 {
			return errors.New("answer without a header")
		}
		id := int32(binary.BigEndian.Uint32(frame[4:]))
		l.mu.Lock()
		request := l.mu.asked[id]
		delete(l.mu.asked, id)
		l.mu.Unlock()
		switch kmsg.Key(request.key) {
		case kmsg.EndTxn:
			if l.proxy.lose() {
				l.proxy.lost.Add(1)
				return nil
			}
		case kmsg.Heartbeat:
			if d := l.proxy.hold(); d > 0 {
				timer := time.NewTimer(d)
				select {
				case <-timer.C:
				case <-l.proxy.done:
					timer.Stop()
				}
			}
		case kmsg.Metadata, kmsg.FindCoordinator, kmsg.DescribeCluster:
			if frame, err = l.proxy.redirect(frame, request); err != nil {
				return err
			}
		default: // passes on as it is
		}
		if _, err := l.client.Write(frame); err != nil {
			return err
		}
	}
}

// readFrame reads a message with its length before it, into buf if that is large enough.
func readFrame(in io.Reader, buf []byte) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(in, size[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(size[:]))
	if n > 1<<30 {
		return nil, fmt.Errorf("message of %d bytes", n)
	}
	if cap(buf) < 4+n {
		buf = make([]byte, 4+n)
	}
	buf = buf[:4+n]
	copy(buf, size[:])
	_, err := io.ReadFull(in, buf[4:])
	return buf, err
}

// redirect replaces the addresses of brokers in an answer by the proxy's own.
func (p *proxy) redirect(frame []byte, request asked) ([]byte, error) {
	answer := kmsg.ResponseForKey(request.key)
	answer.SetVersion(request.version)
	header := 4 + 4
	if answer.IsFlexible() {
		n, err := skipTags(frame[header:])
		if err != nil {
			return nil, err
		}
		header += n
	}
	if err := answer.ReadFrom(frame[header:]); err != nil {
		return nil, fmt.Errorf("answer of kind %d version %d: %w", request.key, request.version, err)
	}
	var err error
	move := func(host *string, port *int32) {
		if *host == "" || err != nil {
			return // no such broker: the answer carries an error
		}
		var address, number string
		if address, err = p.front(net.JoinHostPort(*host, strconv.Itoa(int(*port)))); err != nil {
			return
		}
		*host, number, err = net.SplitHostPort(address)
		if err != nil {
			return
		}
		var parsed int
		parsed, err = strconv.Atoi(number)
		*port = int32(parsed)
	}
	switch answer := answer.(type) {
	case *kmsg.MetadataResponse:
		for i := range answer.Brokers {
			move(&answer.Brokers[i].Host, &answer.Brokers[i].Port)
		}
	case *kmsg.FindCoordinatorResponse:
		move(&answer.Host, &answer.Port)
		for i := range answer.Coordinators {
			move(&answer.Coordinators[i].Host, &answer.Coordinators[i].Port)
		}
	case *kmsg.DescribeClusterResponse:
		for i := range answer.Brokers {
			move(&answer.Brokers[i].Host, &answer.Brokers[i].Port)
		}
	}
	if err != nil {
		return nil, err
	}
	moved := answer.AppendTo(append([]byte(nil), frame[:header]...))
	binary.BigEndian.PutUint32(moved, uint32(len(moved)-4))
	return moved, nil
}

// skipTags returns the size of the tagged fields that end a header.
func skipTags(data []byte) (int, error) {
	bad := errors.New("answer with a broken header")
	at := 0
	next := func() (uint64, bool) {
		v, n := binary.Uvarint(data[at:])
		at += max(n, 0)
		return v, n > 0
	}
	tags, ok := next()
	for ; ok && tags > 0; tags-- {
		if _, ok = next(); !ok {
			break
		}
		var size uint64
		if size, ok = next(); !ok || size > uint64(len(data)-at) {
			return 0, bad
		}
		at += int(size)
	}
	if !ok {
		return 0, bad
	}
	return at, nil
}
