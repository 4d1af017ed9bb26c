//go:build unix

package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/seed84377926/millrace/test/process"
)

// instance is one process.
type instance struct {
	name    string
	dir     string
	process *process.Process
	ended   chan struct{}
}

// restore is the message of an instance that took a task over.
type restore struct {
	by                  *instance
	start, end, records int64
}

// start starts an instance on the directory that has its name.
func (e *experiment) start(name string) (*instance, error) {
	i := &instance{name: name, dir: filepath.Join(e.dir, name), ended: make(chan struct{})}
	args := []string{
		workerCommand, "--brokers", e.o.brokers, "--topic", e.topic, "--dir", i.dir, "--standbys", "1",
		"--session-timeout", e.o.sessionTimeout.String(),
	}
	var err error
	i.process, err = process.Spawn(args, nil, i.dir+".log", func(line string) { e.heard(i, line) }, func(*os.ProcessState) { close(i.ended) })
	if err != nil {
		return nil, err
	}
	e.instances = append(e.instances, i)
	return i, nil
}

// forget removes an instance that has ended from the list.
func (e *experiment) forget(gone *instance) {
	kept := make([]*instance, 0, len(e.instances))
	for _, i := range e.instances {
		if i != gone {
			kept = append(kept, i)
		}
	}
	e.instances = kept
}

func (e *experiment) heard(i *instance, line string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var p, warm int
	r := restore{by: i}
	if _, err := fmt.Sscanf(line, saysOwns+" %d %d %d %d", &p, &r.start, &r.end, &r.records); err == nil {
		e.mu.owners[p] = r
	} else if _, err := fmt.Sscanf(line, saysWarm+" %d", &warm); err == nil {
		e.mu.warm[i] = warm
	}
}

func (e *experiment) owners() map[int]restore {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.mu.owners)
}

// changeTimeout bounds how long a change may take.
const changeTimeout = 2 * time.Minute

// await waits until ready returns true.
func (e *experiment) await(ctx context.Context, what string, ready func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	for {
		ok, err := ready()
		if ok || err != nil {
			return err
		}
		if err := wait(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("waiting until %s: %w; see the logs in %s", what, err, e.dir)
		}
	}
}

// balanced waits until n instances are left and share the tasks evenly.
func (e *experiment) balanced(ctx context.Context, n int) error {
	return e.await(ctx, fmt.Sprintf("%d instances share the tasks", n), func() (bool, error) {
		for _, i := range e.instances {
			select {
			case <-i.ended:
				e.forget(i)
			default:
			}
		}
		tasks := make(map[*instance]int)
		for _, r := range e.owners() {
			tasks[r.by]++
		}
		even := len(e.owners()) == e.o.partitions && len(e.instances) == n && len(tasks) == n
		for _, i := range e.instances {
			even = even && tasks[i] >= e.o.partitions/n
		}
		return even, nil
	})
}

// awaitStandbys waits until every task has a standby that could take over.
func (e *experiment) awaitStandbys(ctx context.Context) error {
	return e.await(ctx, "all standbys have caught up", func() (bool, error) {
		e.mu.Lock()
		defer e.mu.Unlock()
		var warm int
		for _, i := range e.instances {
			warm += e.mu.warm[i]
		}
		return warm == e.o.partitions, nil
	})
}

// caughtUp waits until all produced records are processed.
func (e *experiment) caughtUp(ctx context.Context) error {
	return e.await(ctx, "all is processed", func() (bool, error) {
		n, err := e.load.committed(ctx)
		return n == e.load.produced(), err
	})
}
