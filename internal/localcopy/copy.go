package localcopy

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/state/pebblestore"
)

// Contents is what differs between copies: the form of the rows, and where their offsets are kept. A Copy calls one
// method at a time, except Rebuilding, which it may call for several readers at once.
type Contents interface {
	// Load reads from store which offset of each source the rows reflect; sources that no row reflects are missing. If
	// the rows can be read but cannot be used, unusable says why; they are then dropped and Load is called again.
	Load(ctx context.Context, store state.Partition) (offsets map[int32]int64, unusable string, err error)
	// Append appends to b the rows of a run of a source, and the offset that they reflect.
	Append(b *state.Batch, source int32, run Run) error
	// Applied is called after the batch was applied. The run is still valid.
	Applied(source int32, run Run) error
	// Dropped is called after all rows were dropped while the copy is in use.
	Dropped()
	// Rebuilding returns the error for readers that arrive while the copy is read again. cause is the damage that the
	// reader found, or another reason; it may be nil.
	Rebuilding(cause error) error
}

// Run is a stretch of a partition of the topic. A *broker.Run is one.
type Run interface {
	// Rows yields the rows in the order of their keys; a nil value deletes the row.
	Rows() iter.Seq2[[]byte, []byte]
	// Len returns the number of rows.
	Len() int
	// Records returns how many records were read.
	Records() int
	// Bytes returns the size of the keys and values of these records.
	Bytes() int64
	// Last returns the last offset that the run reflects.
	Last() int64
}

var _ Run = (*broker.Run)(nil)

// Config says where a copy is. All fields are required.
type Config struct {
	Engine    state.Engine
	Partition int32        // of Engine: where all rows of the copy are
	Sources   []int32      // the partitions of the topic
	Logger    *slog.Logger // its attributes name the copy
}

// Copy is a local copy of partitions of a topic. One goroutine of goka's for each source applies rows; any goroutine
// may read. It has no goroutine of its own, and its engine belongs to the caller.
type Copy struct {
	engine    state.Engine
	partition int32
	contents  Contents
	logger    *slog.Logger
	store     state.Partition // what is on disk

	rebuilding atomic.Bool  // some source is not following
	damaged    atomic.Int64 // how often damage was found; also the generation of the rows

	mu struct {
		sync.Mutex // held while rows are applied or dropped
		sources    map[int32]*source
		batch      state.Batch
		large      bool // the last batch was larger than largeBatch
	}
}

// largeBatch is more than a copy needs while it only follows its topic.
const largeBatch = 1 << 20

// sourceState is the state of a source; the package comment has a diagram of the states.
type sourceState int

const (
	following sourceState = iota
	dropped
	rereading
)

// none stands for the offset of a source that no row reflects.
const none = -1

// source is a partition of the topic.
type source struct {
	state   sourceState
	offset  int64         // the last one that the rows reflect, or none
	goal    int64         // unless following: the offset to reach before the rows are read again
	restart chan struct{} // closed by a drop, replaced by the next Offset
}

// drop records that the rows are gone.
func (s *source) drop() {
	if s.offset == none {
		return // goka reads this source from the beginning anyway
	}
	s.goal, s.offset = max(s.goal, s.offset), none
	s.state = dropped
	close(s.restart)
}

// Open opens a copy and loads what is on disk. Rows that are damaged or cannot be used are dropped.
func Open(ctx context.Context, cfg Config, contents Contents) (*Copy, error) {
	c := &Copy{engine: cfg.Engine, partition: cfg.Partition, contents: contents, logger: cfg.Logger}
	c.mu.sources = make(map[int32]*source, len(cfg.Sources))
	for _, p := range cfg.Sources {
		c.mu.sources[p] = &source{offset: none, goal: none, restart: make(chan struct{})}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	unusable, err := c.load(ctx)
	switch {
	case errors.Is(err, pebblestore.ErrCorrupt):
		c.reportDamage(err)
	case err != nil:
		return nil, err
	case unusable == "":
		return c, nil
	default:
		c.logger.Warn("local copy cannot be used; it is dropped and read again from its topic", slog.String("reason", unusable))
	}
	if err := c.engine.Drop(c.partition); err != nil {
		return nil, err
	}
	if unusable, err = c.load(ctx); err != nil {
		return nil, err
	}
	if unusable != "" {
		return nil, fmt.Errorf("local copy is empty and cannot be used: %s", unusable)
	}
	return c, nil
}

// load opens the store and reads the offsets of the sources. The lock is held.
func (c *Copy) load(ctx context.Context) (unusable string, err error) {
	if c.store, err = c.engine.Open(c.partition); err != nil {
		return "", err
	}
	offsets, unusable, err := c.contents.Load(ctx, c.store)
	if err != nil || unusable != "" {
		return unusable, err
	}
	for p, offset := range offsets {
		c.mu.sources[p].offset = offset
	}
	return "", nil
}

// Rows returns the rows for readers. While the copy is read again all reads fail with the error of Contents.Rebuilding.
func (c *Copy) Rows() state.Partition { return guarded{c.store, c} }

// Offset returns the last offset of a source that the rows reflect, and false if they reflect no offset of it.
func (c *Copy) Offset(source int32) (int64, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.mu.sources[source]
	return s.offset, s.offset != none
}

// Damaged returns how often the copy was found damaged.
func (c *Copy) Damaged() int64 { return c.damaged.Load() }

// Restart returns a channel that is closed when a source must be read again from its Offset. goka asks for the channel
// after it has asked for the Offset. If the rows were dropped in between, the channel is closed already, because goka
// would continue from an offset whose rows are gone.
func (c *Copy) Restart(source int32) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.sources[source].restart
}

// Store returns where goka puts the rows of a source.
func (c *Copy) Store(source int32) broker.TableStore { return sourceStore{c, source} }

// sourceStore implements broker.TableStore for one source.
type sourceStore struct {
	copy   *Copy
	source int32
}

// Get implements broker.TableStore.
func (s sourceStore) Get(dst, key []byte) ([]byte, bool, error) { return s.copy.store.Get(dst, key) }

// Offset implements broker.TableStore. goka asks for it when it begins to read.
func (s sourceStore) Offset() (int64, bool) { return s.copy.begin(s.source) }

// Restore implements broker.TableStore.
func (s sourceStore) Restore(run *broker.Run) error { return s.copy.apply(s.source, run) }

// begin returns the offset of a source that goka is about to read.
func (c *Copy) begin(source int32) (int64, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.mu.sources[source]
	if s.state == dropped {
		s.state, s.restart = rereading, make(chan struct{})
	}
	return s.offset, s.offset != none
}

// apply applies a run of a source together with its offset (LC1), unless it was read for rows that were dropped (LC2).
func (c *Copy) apply(source int32, run Run) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.mu.sources[source]
	if s.state == dropped {
		return c.contents.Rebuilding(fmt.Errorf("rows up to %d of partition %d were read for a copy that was dropped", run.Last(), source))
	}
	if c.mu.large && run.Bytes() < largeBatch {
		c.mu.batch = state.Batch{}
	}
	c.mu.batch.Reset()
	if err := c.contents.Append(&c.mu.batch, source, run); err != nil {
		return err
	}
	if err := c.store.Apply(&c.mu.batch); err != nil {
		if errors.Is(err, pebblestore.ErrCorrupt) {
			c.drop(err, c.damaged.Load())
		}
		return err
	}
	c.mu.large = c.mu.batch.Size() > largeBatch
	s.offset = run.Last()
	if s.state == rereading && s.offset >= s.goal {
		s.state, s.goal = following, none
		if c.allFollowing() {
			c.rebuilding.Store(false)
			c.logger.Info("local copy is read again")
		}
	}
	return c.contents.Applied(source, run)
}

// allFollowing reports whether readers may see the rows. The lock is held.
func (c *Copy) allFollowing() bool {
	for _, s := range c.mu.sources {
		if s.state != following {
			return false
		}
	}
	return true
}

// drop drops all rows because of damage that was found in the rows of a generation (LC4). The lock is held.
func (c *Copy) drop(damage error, generation int64) {
	if generation != c.damaged.Load() {
		return
	}
	// First the flag, then the generation: a reader that sees the new generation sees the flag, too (LC3).
	before := c.rebuilding.Swap(true)
	c.reportDamage(damage)
	if err := c.engine.Drop(c.partition); err != nil {
		c.logger.Error("damaged local copy cannot be dropped; it is tried again", slog.Any("error", err))
		c.rebuilding.Store(before)
		return
	}
	for _, s := range c.mu.sources {
		s.drop()
	}
	c.rebuilding.Store(!c.allFollowing())
	c.contents.Dropped()
}

func (c *Copy) reportDamage(err error) {
	c.damaged.Add(1)
	c.logger.Error("local copy is damaged; it is dropped and read again from its topic", slog.Any("error", err))
}
