package broker

import (
	"context"
	"time"
)

const (
	// gatherTime bounds how long rows wait for more of their kind while a table is far behind, and so what a restore
	// that is cut short has to do again.
	gatherTime = time.Second

	// A run that took more than this is not used again once the table is followed, which takes small ones.
	keepFollowing = 256 << 10
)

// gatherer makes runs of what a feed brings. Before the end that the partition had at the beginning, a run grows until it
// is full or late, so that few of them bring many rows each. From there on it goes at once, with what has come while the
// last one was applied.
type gatherer struct {
	feed   *Feed
	end    int64
	run    *Run
	next   int64     // position behind what was taken
	newest time.Time // timestamp of the last record
	late   bool
	timer  *time.Timer // sets late
	free   chan *Run

	stamped bool // see Run
}

func newGatherer(feed *Feed, end int64, stamped bool) *gatherer {
	g := &gatherer{feed: feed, end: end, timer: time.NewTimer(gatherTime), free: make(chan *Run, 1), stamped: stamped}
	g.begin()
	return g
}

// begin begins a run. The last one is somebody else's by now.
func (g *gatherer) begin() {
	select {
	case g.run = <-g.free:
		if g.next >= g.end && g.run.memory() > keepFollowing {
			g.run = newRun(g.free)
		}
	default:
		g.run = newRun(g.free)
	}
	g.run.stamped = g.stamped
	g.late = false
	g.timer.Reset(gatherTime)
}

// take moves what the feed has into the run, as long as there is room.
func (g *gatherer) take() error {
	for !g.full() {
		batch, ok, err := g.feed.Take()
		if !ok || err != nil {
			return err
		}
		g.run.add(batch)
		g.next = batch.Next
		if n := len(batch.Records); n > 0 {
			g.newest = batch.Records[n-1].Timestamp
		}
	}
	return nil
}

func (g *gatherer) full() bool { return g.run.size() > g.feed.fetcher.runShare() }

// due says whether the run should be handed on.
func (g *gatherer) due() bool {
	return g.run.next > 0 && (g.late || g.next >= g.end || g.full())
}

// more is signalled when the feed may have something that there is room for.
func (g *gatherer) more() <-chan struct{} {
	if g.full() {
		return nil
	}
	return g.feed.ready
}

// Runs is a table's partition being followed, run by run, by whoever has no use for goka: a copy that is kept warm. One
// goroutine takes from it; Close may come from another.
type Runs struct {
	gatherer *gatherer
}

// Follow starts reading a table's partition at offset from. Until end, rows are gathered in bulk; from there on they come
// as soon as they are read. A partition has at most one open feed.
func (f *Fetcher) Follow(topic string, partition int32, from, end int64) *Runs {
	return &Runs{newGatherer(f.Add(topic, partition, from, nil), end, false)}
}

// Next waits for a run. The caller releases it when it is done with it, and before it asks for the next one.
func (r *Runs) Next(ctx context.Context) (*Run, error) {
	g := r.gatherer
	for {
		if err := g.take(); err != nil {
			return nil, err
		}
		if g.due() {
			run := g.run
			g.begin()
			return run, nil
		}
		select {
		case <-g.more():
		case <-g.timer.C:
			g.late = true
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// Close stops reading. It may be called twice.
func (r *Runs) Close() {
	r.gatherer.timer.Stop()
	r.gatherer.feed.Close()
}
