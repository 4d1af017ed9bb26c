//go:build unix

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/seed84377926/millrace/embedded"
	"github.com/seed84377926/millrace/test/process"
)

// brokerCommand is the hidden subcommand that runs an embedded broker.
const brokerCommand = "broker"

// embeddedBroker is the value of --broker for a broker that this program starts.
const embeddedBroker = "embedded"

// runBroker runs an embedded broker in a separate process. It prints its address and serves until it gets a signal.
func runBroker(ctx context.Context, args []string, out, errOut io.Writer) (err error) {
	flags := flag.NewFlagSet(brokerCommand, flag.ContinueOnError)
	flags.SetOutput(errOut)
	dir := flags.String("dir", "", "directory of the data")
	port := flags.Int("port", 0, "port; 0 takes a free one")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx, cancel := process.WithParent(ctx)
	defer cancel()
	broker, err := embedded.Start(ctx, embedded.Config{
		Dir: *dir, Port: *port, Logger: slog.New(slog.NewTextHandler(errOut, &slog.HandlerOptions{Level: slog.LevelInfo})),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, broker.Close()) }()
	fmt.Fprintln(out, broker.Addrs()[0])
	<-ctx.Done()
	return nil
}

// cluster is the broker of a run.
type cluster interface {
	address() string
	// mortal reports whether it can be killed and started again.
	mortal() bool
	// kill ends it like a crash.
	kill(ctx context.Context) error
	// start starts it again and waits until it serves.
	start(ctx context.Context) error
	// close ends it, if this program started it.
	close()
}

// openCluster starts an embedded broker or returns the broker that the options name.
func openCluster(ctx context.Context, o options, dir string) (cluster, error) {
	if o.broker != embeddedBroker {
		return &outside{addr: o.broker, killCmd: o.brokerKill, startCmd: o.brokerStart, log: filepath.Join(dir, "broker.log")}, nil
	}
	b := &ownBroker{dir: dir, port: "0"}
	return b, b.start(ctx)
}

// ownBroker is an embedded broker as a child.
type ownBroker struct {
	dir     string
	port    string
	process *process.Process
}

func (b *ownBroker) address() string { return net.JoinHostPort("127.0.0.1", b.port) }
func (b *ownBroker) mortal() bool    { return true }

func (b *ownBroker) start(ctx context.Context) error {
	addresses, ended := make(chan string, 1), make(chan struct{})
	var err error
	b.process, err = process.Spawn(
		[]string{brokerCommand, "--dir", filepath.Join(b.dir, "broker"), "--port", b.port}, nil, filepath.Join(b.dir, "broker.log"),
		func(line string) { addresses <- line },
		func(*os.ProcessState) { close(ended) },
	)
	if err != nil {
		return err
	}
	select {
	case addr := <-addresses:
		_, port, err := net.SplitHostPort(addr)
		if err == nil {
			_, err = strconv.Atoi(port)
		}
		if err != nil {
			return fmt.Errorf("embedded broker: address %q: %w", addr, err)
		}
		b.port = port
		return nil
	case <-ended:
		return fmt.Errorf("embedded broker: it ended while it started; see %s", filepath.Join(b.dir, "broker.log"))
	case <-ctx.Done():
		return fmt.Errorf("embedded broker: %w", context.Cause(ctx))
	}
}

func (b *ownBroker) kill(context.Context) error {
	b.process.Kill()
	return nil
}

func (b *ownBroker) close() {
	if b.process != nil {
		b.process.Kill()
	}
}

// outside is a broker that this program did not start.
type outside struct{ addr, killCmd, startCmd, log string }

func (b *outside) address() string { return b.addr }
func (b *outside) mortal() bool    { return b.killCmd != "" }
func (b *outside) close()          {}

func (b *outside) kill(ctx context.Context) error { return b.shell(ctx, b.killCmd) }

// start runs the user's command, and waits until the broker really serves: after a crash its port is open long before.
func (b *outside) start(ctx context.Context) error {
	if err := b.shell(ctx, b.startCmd); err != nil {
		return err
	}
	admin, err := newAdmin(b.addr)
	if err != nil {
		return err
	}
	defer admin.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		asking, stop := context.WithTimeout(ctx, time.Second)
		ends, err := admin.ListEndOffsets(asking)
		stop()
		if err == nil {
			err = ends.Error()
		}
		if err == nil {
			return nil
		}
		if wait(ctx, 100*time.Millisecond) != nil {
			return fmt.Errorf("the broker does not come back: %w", err)
		}
	}
}

// shell runs a command of the user. Its output goes to a file: the broker that it starts keeps the output open, so
// reading from a pipe would not end.
func (b *outside) shell(ctx context.Context, command string) error {
	file, err := os.OpenFile(b.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("log of the broker: %w", err)
	}
	defer file.Close()
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Stdout, cmd.Stderr = file, file
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w; see %s", command, err, b.log)
	}
	return nil
}
