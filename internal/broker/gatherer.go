package broker

import (
	"context"
	"time"
)

const (
	// gatherTime bounds how long a run gathers rows while a table is far behind. So it also bounds how much work an
	// interrupted restore repeats.
	gatherTime = time.Second

	// keepFollowing is the largest memory of a run that is kept for reuse once the table has caught up, because runs
	// are small from then on.
	keepFollowing = 256 << 10
)

// gatherer merges the batches of a feed into runs. Below the end that the partition had at the beginning, a run grows
// until it is full or late, so that there are few runs with many rows each. After that end a run is due at once, with
// the records that arrived while the last run was applied.
type gatherer struct {
	feed   *Feed
	end    int64
	run    *Run
	next   int64     // position after the batches taken
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

// begin begins a run. The previous run now belongs to its receiver.
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

// take moves batches of the feed into the run while there is room.
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

// due reports whether the run should be handed on.
func (g *gatherer) due() bool {
	return g.run.next > 0 && (g.late || g.next >= g.end || g.full())
}

// more returns the channel that is signalled when the feed may have a batch; nil if the run has no room for one.
func (g *gatherer) more() <-chan struct{} {
	if g.full() {
		return nil
	}
	return g.feed.ready
}

// Runs follows a table's partition run by run, without goka, for a copy that is kept warm. One goroutine takes from it;
// Close may be called on another.
type Runs struct {
	gatherer *gatherer
}

// Follow starts reading a table's partition at offset from. Up to end, rows are gathered in bulk; after it they come as
// soon as they are read. A partition has at most one open feed.
func (f *Fetcher) Follow(topic string, partition int32, from, end int64) *Runs {
	return &Runs{newGatherer(f.Add(topic, partition, from, nil), end, false)}
}

// Next waits for a run. The caller must release it before it asks for the next one.
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
