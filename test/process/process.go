//go:build unix

// Package process starts children for the suites that kill and stop real processes: the binary that runs, once more,
// with a hidden subcommand.
package process

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
)

// Process is a child. It ends by itself when its parent is gone, since its standard input ends then (see WithParent).
// Safe for concurrent use.
type Process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	done  chan struct{} // closed after exited was called
}

// Spawn starts a child. line is called for each line it prints and exited once, after the last line, both from one
// goroutine, which ends with the child. What the child writes to standard error is appended to the file log.
func Spawn(args, env []string, log string, line func(string), exited func(*os.ProcessState)) (*Process, error) {
	binary, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("log of a child: %w", err)
	}
	defer file.Close() // the child has its own
	// Not the caller's context: children are ended by signals, which are what is tested.
	cmd := exec.CommandContext(context.Background(), binary, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = file
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	p := &Process{cmd: cmd, stdin: stdin, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			line(lines.Text())
		}
		_ = cmd.Wait() // how it ended is in its state
		exited(cmd.ProcessState)
	}()
	return p, nil
}

// Signal sends a signal. A child that has ended gets none.
func (p *Process) Signal(sig syscall.Signal) { _ = p.cmd.Process.Signal(sig) }

// Kill ends the child at once, also while it is stopped, and waits until it is gone.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.done
}

// WithParent returns a context that also ends when the process that started this one is gone. It must be called once,
// in a child.
func WithParent(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return ctx, cancel
}
