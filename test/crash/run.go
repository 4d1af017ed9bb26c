//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/seed84377926/millrace/topology"
)

// startTimeout bounds the first start of all workers.
const startTimeout = 90 * time.Second

// compareTimeout bounds reading everything back at the end.
const compareTimeout = 3 * time.Minute

// viewTimeout bounds how long the view of a worker may take to catch up when nothing is written any more.
const viewTimeout = 30 * time.Second

// One of every loseEvery answers to EndTxn is lost.
const loseEvery = 60

// One of every holdEvery answers to Heartbeat is held back.
const holdEvery = 5

// orchestrate runs one test from beginning to end. The error is errWrong if the application did something wrong; others
// mean that there is no result.
func orchestrate(ctx context.Context, o options, out io.Writer) (err error) {
	dir := o.dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "millrace-crash-"); err != nil {
			return err
		}
		defer func() {
			if err == nil {
				err = os.RemoveAll(dir)
				return
			}
			fmt.Fprintf(out, "logs and state are in %s\n", dir)
		}()
	} else if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	app := fmt.Sprintf("crash-%d-%d", o.seed, time.Now().UnixMilli())
	top, err := application(app)
	if err != nil {
		return err
	}
	c := newConductor(o, out, app, dir)
	if c.cluster, err = openCluster(ctx, o, dir); err != nil {
		return err
	}
	defer c.cluster.close()
	c.say("seed %d, application %s, broker %s (%s)", o.seed, app, c.cluster.address(), o.broker)

	admin, err := newAdmin(c.cluster.address())
	if err != nil {
		return err
	}
	defer admin.Close()
	if err := createTopics(ctx, admin, topicsOf(app).all()); err != nil {
		return err
	}
	if c.input, err = newInput(c.cluster.address(), topicsOf(app), o.seed, o.rate); err != nil {
		return err
	}
	defer c.input.close()
	c.proxy = newProxy(sometimes(o.seed, 3, loseEvery), held(o))
	defer c.proxy.close()
	if c.entry, err = c.proxy.front(c.cluster.address()); err != nil {
		return err
	}
	defer c.close()

	if err := c.breakThings(ctx); err != nil {
		return err
	}
	commits, err := c.verify(ctx, top)
	if err != nil {
		return err
	}
	for _, why := range []string{"kill", "stall", "leave"} {
		c.say("tasks at work again after %s of their owner: %v", why, c.takeovers[why])
	}
	c.verdict.print(out, o)
	wrong := len(c.verdict.findings())
	fmt.Fprintf(out, "kills=%d stalls=%d commits=%d keys=%d wrong=%d\n", c.kills, c.stalls, commits, c.verdict.keys(), wrong)
	if wrong > 0 {
		return errWrong
	}
	return deleteTopics(ctx, admin, app)
}

// sometimes returns a function that returns true at random: on average once in that many calls (every).
func sometimes(seed int64, stream uint64, every int) func() bool {
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(uint64(seed), stream))
	return func() bool {
		mu.Lock()
		defer mu.Unlock()
		return rng.IntN(every) == 0
	}
}

// held returns a function that says for how long the next answer to a heartbeat is held back: mostly not at all,
// sometimes for about as long as a commit takes. In the negative control every answer is held back, since a worker that
// learns at once what it has lost needs no fence most of the time.
func held(o options) func() time.Duration {
	now := sometimes(o.seed, 4, holdEvery)
	return func() time.Duration {
		if o.noFence || now() {
			return o.sessionTimeout / 3
		}
		return 0
	}
}

// breakThings starts everything, produces and breaks, and returns when the input has ended and nothing breaks any more.
func (c *conductor) breakThings(ctx context.Context) error {
	for _, i := range c.instances {
		if err := c.launch(i, c.plan(i)); err != nil {
			return err
		}
	}
	deadline := time.Now().Add(startTimeout)
	if err := c.play(ctx, func() bool { return c.running() || c.failures > len(c.instances) || time.Now().After(deadline) }); err != nil {
		return err
	}
	if !c.running() {
		return fmt.Errorf("the workers do not start; see %s: %s", c.dir, lastLine(c.dir+"/worker-0.log"))
	}
	c.say("%d workers are running", len(c.instances))

	producing, stop := context.WithCancel(ctx)
	defer stop()
	var producer errgroup.Group
	producer.Go(func() error {
		err := c.input.run(producing)
		if err != nil {
			c.post(func() { c.fail(err) })
		}
		return err
	})
	c.progress()
	c.begin(ctx)
	end := time.Now().Add(c.o.duration)
	over := func() bool {
		if c.o.faults > 0 {
			return c.kills+c.stalls >= c.o.faults
		}
		return time.Now().After(end)
	}
	err := c.play(ctx, over)
	c.calm()
	if err == nil {
		err = c.play(ctx, func() bool { return !c.brokerDown })
	}
	stop()
	// The producer may be waiting for the gate of a broker that will not come back.
	if err != nil {
		return err
	}
	return producer.Wait()
}

// verify waits until all produced records are processed, ends the workers and compares everything with the truth. It
// returns the number of commits found in the tables.
func (c *conductor) verify(ctx context.Context, top *topology.Topology) (commits int, err error) {
	c.say("input ended, %d records; waiting until all is processed", c.input.produced())
	t := topicsOf(c.app)
	tr := newTruth(t, &c.input.mu.events, &c.input.mu.profiles)
	if err := c.settle(ctx, top, tr); err != nil {
		return 0, err
	}
	if err := c.leave(ctx); err != nil {
		return 0, err
	}
	c.say("workers ended; comparing")

	var tableTopics []string
	for _, sub := range top.SubTopologies() {
		tableTopics = append(tableTopics, sub.TableTopic())
	}
	topics := append(t.all(), tableTopics...)
	reading, cancel := context.WithTimeout(ctx, compareTimeout)
	defer cancel()
	records, err := readCommitted(reading, c.cluster.address(), topics...)
	if err != nil {
		return 0, err
	}
	checkInput(c.verdict, t.events, records[t.events], &c.input.mu.events)
	checkInput(c.verdict, t.profiles, records[t.profiles], &c.input.mu.profiles)
	checkOutputs(c.verdict, t, records, tr)
	tables := make(map[string][][]*kgo.Record)
	for _, topic := range tableTopics {
		tables[topic] = records[topic]
	}
	commits = checkChangelog(c.verdict, top, tables, tr)
	for _, i := range c.instances {
		if err := checkLocal(c.verdict, i.dir, top, tables); err != nil {
			return 0, err
		}
		if err := c.viewsOf(ctx, viewTimeout, top, i.dir+"/"+viewsDir, fmt.Sprintf("view of worker %d", i.index), tr); err != nil {
			return 0, err
		}
	}
	if len(tr.tables[storeRecent]) == 0 || tr.late == 0 {
		return 0, errors.New("the input has no recent windows or no late records: the run was too short to show anything")
	}
	return commits, nil
}

// settle waits until a new view covers all of the input, and compares it. The workers keep running, and are started
// again if they end.
func (c *conductor) settle(ctx context.Context, top *topology.Topology, tr *truth) error {
	settling, cancel := context.WithTimeout(ctx, c.o.settle)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- c.viewsOf(settling, c.o.settle, top, c.dir+"/views", "view", tr) }()
	var result error
	var settled bool
	err := c.play(ctx, func() bool {
		select {
		case result = <-done:
			settled = true
		default:
		}
		if c.failures > 20 {
			cancel() // nobody will process the rest
		}
		return settled
	})
	return errors.Join(err, result)
}

// viewsOf opens the views in a directory, waits until they cover the input and compares them.
func (c *conductor) viewsOf(ctx context.Context, limit time.Duration, top *topology.Topology, dir, where string, tr *truth) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	vs, err := openViews(ctx, c.cluster.address(), dir, top)
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- vs.Run(running) }()
	err = checkViews(ctx, c.verdict, where, vs, c.input.offsets(), tr)
	stop()
	return errors.Join(err, <-done)
}

func newAdmin(brokers string) (*kadm.Client, error) {
	kafka, err := kgo.NewClient(kgo.SeedBrokers(brokers), kgo.ClientID("crash-admin"))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", brokers, err)
	}
	return kadm.NewClient(kafka), nil
}

func createTopics(ctx context.Context, admin *kadm.Client, names []string) error {
	// Event time begins long ago: retention by time would delete the input while it is read.
	forever := map[string]*string{"retention.ms": new("-1")}
	responses, err := admin.CreateTopics(ctx, partitions, -1, forever, names...)
	if err == nil {
		err = responses.Error()
	}
	if err != nil {
		return fmt.Errorf("create topics: %w", err)
	}
	return nil
}

// deleteTopics deletes the topics of this run, so that a broker that is not ours is left as it was.
func deleteTopics(ctx context.Context, admin *kadm.Client, app string) error {
	all, err := admin.ListTopicsWithInternal(ctx)
	if err != nil {
		return fmt.Errorf("delete topics: %w", err)
	}
	var ours []string
	for _, name := range all.Names() {
		if len(name) > len(app) && name[:len(app)] == app {
			ours = append(ours, name)
		}
	}
	if _, err := admin.DeleteTopics(ctx, ours...); err != nil {
		return fmt.Errorf("delete topics: %w", err)
	}
	return nil
}
