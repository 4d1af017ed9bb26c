//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const mib = 1 << 20

// orchestrate runs everything: topic, process, load, samples, check.
func orchestrate(ctx context.Context, o options, out io.Writer) (err error) {
	if o.brokers == "" {
		return errors.New("--brokers is missing: start a broker (make kafka-start) and name its address")
	}
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "millrace-memory"); err != nil {
			return err
		}
		defer os.RemoveAll(o.dir)
	} else if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	o.topic = fmt.Sprintf("memory-%d", time.Now().UnixNano())
	kafka, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(o.brokers, ",")...))
	if err != nil {
		return err
	}
	defer kafka.Close()
	admin := kadm.NewClient(kafka)
	if _, err := admin.CreateTopic(ctx, int32(o.partitions), 1, nil, o.topic); err != nil {
		return fmt.Errorf("create topic %s: %w", o.topic, err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		_, _ = admin.DeleteTopics(ctx, o.topic, o.topic+"-"+storeName+"-table") // gigabytes that are no longer needed
	}()
	fmt.Fprintf(out, "%d keys of %d bytes and %d updates in %d partitions, budget %d MiB\n", o.keys, valueSize, o.updates, o.partitions, o.budget)

	m := &measured{out: out, start: time.Now()}
	if err := m.load(ctx, o, admin); err != nil {
		return err
	}
	fmt.Fprintln(out, "reading the table")
	wrong, err := check(ctx, o, o.topic, m.progress("read", int64(o.records())))
	if err != nil {
		return fmt.Errorf("read the table: %w", err)
	}
	ratio := float64(m.peak) / float64(o.budget*mib)
	fmt.Fprintf(out, "keys=%d records=%d wrong=%d samples=%d mean=%d\n", o.keys, o.records(), wrong, m.samples, m.mean()/mib)
	fmt.Fprintf(out, "rss peak=%d budget=%d ratio=%.2f\n", m.peak/mib, o.budget, ratio)
	switch {
	case wrong > 0:
		return fmt.Errorf("%d keys are wrong", wrong)
	case ratio > tolerated:
		return fmt.Errorf("the peak is %.2f of the budget, more than %.2f", ratio, tolerated)
	}
	return nil
}

// measured is the process and its measurements.
type measured struct {
	out   io.Writer
	start time.Time

	peak    int64 // VmHWM of all processes, in bytes
	sum     int64 // of the samples of VmRSS
	samples int64
	printed time.Time
}

func (m *measured) mean() int64 { return m.sum / max(1, m.samples) }

// load produces everything and waits until the process has committed it.
func (m *measured) load(ctx context.Context, o options, admin *kadm.Client) error {
	p, err := startProcess(ctx, o)
	if err != nil {
		return err
	}
	defer func() { p.kill() }()
	half := o.records()
	if o.restore {
		half /= 2
	}
	if err := m.until(ctx, o, admin, p, 0, half); err != nil {
		return err
	}
	if o.restore {
		fmt.Fprintln(m.out, "killing the process and wiping its disk")
		p.kill()
		if err := os.RemoveAll(filepath.Join(o.dir, "state")); err != nil {
			return err
		}
		if p, err = startProcess(ctx, o); err != nil {
			return err
		}
		if err := m.until(ctx, o, admin, p, half, o.records()); err != nil {
			return err
		}
	}
	return p.stop()
}

// until produces records and samples the process until it has committed them all.
func (m *measured) until(ctx context.Context, o options, admin *kadm.Client, p *process, from, to int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var producer sync.WaitGroup
	defer producer.Wait()
	defer cancel(nil)
	producer.Go(func() {
		if err := produce(ctx, o, o.topic, from, to); err != nil {
			cancel(err)
		}
	})
	progress := m.progress("committed", int64(to))
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for tick := 0; ; tick++ {
		select {
		case <-ticker.C:
		case <-p.done:
			return fmt.Errorf("the process ended: %w", p.err)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := m.sample(p.cmd.Process.Pid); err != nil {
			return err
		}
		if tick%10 != 0 {
			continue
		}
		n, err := committed(ctx, admin, o.topic)
		if err != nil {
			return err
		}
		progress(n)
		if n >= int64(to) {
			return nil
		}
	}
}

// sample reads the resident memory of the process from /proc.
func (m *measured) sample(pid int) error {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(data)) {
		name, value, _ := strings.Cut(line, ":")
		if name != "VmHWM" && name != "VmRSS" {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			return fmt.Errorf("/proc/%d/status: %w", pid, err)
		}
		if name == "VmHWM" {
			m.peak = max(m.peak, kib<<10)
		} else {
			m.sum += kib << 10
			m.samples++
		}
	}
	return nil
}

// progress returns a function that prints the progress of something every five seconds.
func (m *measured) progress(what string, total int64) func(int64) {
	return func(n int64) {
		if time.Since(m.printed) < 5*time.Second && n < total {
			return
		}
		m.printed = time.Now()
		fmt.Fprintf(m.out, "%4.0fs  %s %d of %d  rss mean=%d peak=%d\n", time.Since(m.start).Seconds(), what, n, total, m.mean()/mib, m.peak/mib)
	}
}

// process is the measured process.
type process struct {
	cmd   *exec.Cmd
	input io.Closer
	done  chan struct{}
	err   error // valid once done is closed
}

// startProcess starts the process and waits until it runs its tasks.
func startProcess(ctx context.Context, o options) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "--worker", "--brokers", o.brokers, "--topic", o.topic, "--dir", filepath.Join(o.dir, "state"),
		"--budget", strconv.FormatInt(o.budget, 10), "--timeout", o.timeout.String(), "--limit="+strconv.FormatBool(o.limit),
		"--heapprofile", o.profile)
	log, err := os.OpenFile(filepath.Join(o.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stderr = log
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, input: input, done: make(chan struct{})}
	lines := bufio.NewScanner(output)
	lines.Scan() // "running", or the end
	go func() {
		defer close(p.done)
		for lines.Scan() {
		}
		if err := cmd.Wait(); err != nil {
			p.err = fmt.Errorf("%w; its log is in %s", err, log.Name())
		} else {
			p.err = errors.New("it ended by itself")
		}
	}()
	return p, nil
}

// stop lets the process end in order.
func (p *process) stop() error {
	p.input.Close()
	<-p.done
	if !p.cmd.ProcessState.Success() {
		return p.err
	}
	return nil
}

// kill ends the process at once. It may have ended before.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}
