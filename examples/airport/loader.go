package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed84377926/millrace/state"
)

// defaultInFlight is the number of commands in flight: enough to fill every commit of every partition, and few enough
// that the partitions stay close in event time.
const defaultInFlight = 512

// checkpointEvery is the number of commands between two checkpoints.
const checkpointEvery = 1000

// Loader posts commands to the edge in the order of time, many at once:
//
//	commands:   done done done │ sent  done  sent  sent │ waiting …
//	                           └──── InFlight at most ──┘
//
// Rules L1 and L2 of the package's essay keep the necessary order.
//
// A load may be interrupted anywhere and started again. If a command was executed before, the edge answers from its
// memory of the Idempotency-Key; if it has forgotten the key, the rules of the flight refuse the command with a code
// that says so. The checkpoint only saves the time to send commands again that are known to be done.
type Loader struct {
	Client     *Client
	Commands   []Command
	InFlight   int         // 0 means defaultInFlight
	Checkpoint *Checkpoint // nil keeps none
	Progress   *progress
	Logger     *slog.Logger
}

// LoadReport counts the outcomes of the commands.
type LoadReport struct {
	Skipped  int           // below the checkpoint, not sent
	Accepted int           // executed now
	Repeated int           // executed before, by an earlier run or attempt
	Refused  int           // rejected by a rule of the flight, which got commands from somebody else, too
	Elapsed  time.Duration // from the first command sent to the last answer
	Token    state.Offsets // a query that reflects the token sees every event
}

// loading is one run of a Loader.
type loading struct {
	*Loader
	mu struct {
		sync.Mutex
		report LoadReport
	}
}

// Load sends all commands and returns when all are answered. It retries temporary failures until ctx ends, and stops at
// the first answer that means a mistake in the program.
func (l *Loader) Load(ctx context.Context) (LoadReport, error) {
	run := &loading{Loader: l}
	first, token := l.resume(ctx)
	run.mu.report.Skipped, run.mu.report.Token = first, token
	l.Progress.advance(first)
	defer l.Progress.end()

	started := time.Now()
	err := run.sendAll(ctx, first)
	report := run.reportNow()
	report.Elapsed = time.Since(started)
	if err != nil {
		return report, err
	}
	return report, l.Checkpoint.Save(len(l.Commands), len(l.Commands), report.Token)
}

// resume returns the first command to send, and the token of the commands before it. It uses the checkpoint only if the
// edge knows the last command of it: since then, the directory may have been used with another broker.
func (l *Loader) resume(ctx context.Context) (first int, token state.Offsets) {
	next, token := l.Checkpoint.Load(len(l.Commands))
	if next == 0 {
		return 0, nil
	}
	last := &l.Commands[next-1]
	done, err := l.Client.Knows(ctx, last, token)
	if err != nil || !done {
		l.Logger.Warn("the checkpoint does not fit what the edge knows; sending every command again",
			slog.Int("checkpoint", next), slog.String("flight", last.Flight.String()), slog.Any("error", err))
		return 0, nil
	}
	return next, token
}

// sendAll sends the commands, beginning with first.
func (run *loading) sendAll(ctx context.Context, first int) error {
	inFlight := run.InFlight
	if inFlight == 0 {
		inFlight = defaultInFlight
	}
	group, groupCtx := errgroup.WithContext(ctx)
	window := make([]<-chan struct{}, inFlight) // command i has the channel at i mod inFlight, which is closed when the command is done
	lastOf := make(map[FlightID]<-chan struct{})
	for i := first; i < len(run.Commands); i++ {
		command := &run.Commands[i]
		if !wait(groupCtx, window[i%inFlight]) { // L1: command i-inFlight, and before that all earlier ones, are done
			break
		}
		if sent := i - first; sent > inFlight && sent%checkpointEvery == 0 {
			if err := run.Checkpoint.Save(len(run.Commands), i-inFlight+1, run.reportNow().Token); err != nil {
				run.Logger.Warn("the load goes on without a checkpoint", slog.Any("error", err))
			}
		}
		done, previous := make(chan struct{}), lastOf[command.Flight]
		window[i%inFlight], lastOf[command.Flight] = done, done
		group.Go(func() error {
			if !wait(groupCtx, previous) { // L2
				return context.Cause(groupCtx)
			}
			answer, err := run.Client.Post(groupCtx, command)
			if err != nil {
				return err
			}
			run.count(command, answer)
			close(done)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return context.Cause(ctx) // the loop may have ended early although every command it sent was answered
}

// wait returns true when done is closed, or at once if done is nil. It returns false if ctx ends first.
func wait(ctx context.Context, done <-chan struct{}) bool {
	if done == nil {
		return ctx.Err() == nil
	}
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

func (run *loading) count(command *Command, answer Answer) {
	run.Progress.advance(1)
	if answer.Outcome == refused {
		run.Logger.Warn("command refused", slog.String("command", command.Name),
			slog.String("flight", command.Flight.String()), slog.String("reason", answer.Detail))
	}
	run.mu.Lock()
	defer run.mu.Unlock()
	report := &run.mu.report
	switch answer.Outcome {
	case accepted:
		report.Accepted++
	case repeated:
		report.Repeated++
	case refused:
		report.Refused++
	}
	report.Token = report.Token.Merge(answer.Token)
}

func (run *loading) reportNow() LoadReport {
	run.mu.Lock()
	defer run.mu.Unlock()
	return run.mu.report
}
