package edge

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/state/pebblestore"
)

// faultyEngine fails the Apply of one batch.
type faultyEngine struct {
	state.Engine
	fail chan struct{}
}

type faultyPartition struct {
	state.Partition
	fail chan struct{}
}

func (e faultyEngine) Open(p int32) (state.Partition, error) {
	part, err := e.Engine.Open(p)
	return faultyPartition{part, e.fail}, err
}

func (p faultyPartition) Apply(b *state.Batch) error {
	select {
	case <-p.fail:
		return errors.New("disk full")
	default:
		return p.Partition.Apply(b)
	}
}

func TestOwner_localStoreFailsAfterTheCommit(t *testing.T) {
	log := newFakeLog()
	fail := make(chan struct{}, 1)
	b := newBench(t, log)
	b.owner.engine = faultyEngine{state.NewMemory(), fail}
	b.start()
	require.Equal(t, 201, b.do("a", "", "deposit", `{"amount":10}`).status)
	fail <- struct{}{}
	require.Equal(t, 200, b.do("a", "", "withdraw", `{"amount":10}`).status, "it is committed, so it is true")
	require.Equal(t, 409, b.do("a", "", "withdraw", `{"amount":1}`).status, "the store was mended before anything else")
}

// damagedEngine answers reads with ErrCorrupt once it is told to, until the partition is dropped.
type damagedEngine struct {
	state.Engine
	damaged *atomic.Bool
	drops   *atomic.Int64
}

type damagedPartition struct {
	state.Partition
	damaged *atomic.Bool
}

func (e damagedEngine) Open(p int32) (state.Partition, error) {
	part, err := e.Engine.Open(p)
	return damagedPartition{part, e.damaged}, err
}

func (e damagedEngine) Drop(p int32) error {
	e.drops.Add(1)
	e.damaged.Store(false)
	return e.Engine.Drop(p)
}

func (p damagedPartition) Get(dst, key []byte) ([]byte, bool, error) {
	if p.damaged.Load() {
		return dst, false, fmt.Errorf("read: %w", pebblestore.ErrCorrupt)
	}
	return p.Partition.Get(dst, key)
}

// Damage that a command meets fails that command only: the owner restores its state and goes on with what was there.
func TestOwner_damagedStateIsRestored(t *testing.T) {
	b := newBench(t, newFakeLog())
	engine := damagedEngine{state.NewMemory(), new(atomic.Bool), new(atomic.Int64)}
	b.owner.engine = engine
	b.start()
	require.Equal(t, 201, b.do("a", "", "deposit", `{"amount":10}`).status)
	engine.damaged.Store(true)
	require.Equal(t, 500, b.do("a", "", "withdraw", `{"amount":4}`).status)
	require.Equal(t, 200, b.do("a", "", "withdraw", `{"amount":4}`).status)
	require.Equal(t, 409, b.do("a", "", "withdraw", `{"amount":7}`).status, "6 are left")
	require.EqualValues(t, 1, engine.drops.Load())
	require.EqualValues(t, 1, b.report().Damaged)
}

func TestOwner_dropsTheStateOfAnotherChangelog(t *testing.T) {
	log := newFakeLog()
	engine := state.NewMemory()
	first := newBench(t, log)
	first.owner.engine = engine
	first.start()
	require.Equal(t, 201, first.do("a", "", "deposit", `{"amount":10}`).status)
	first.owner.stop()
	<-first.owner.done

	same := newBench(t, log, func(c *ownerConfig) { c.claim.Instance = "same" })
	same.owner.engine = engine
	same.start()
	require.Equal(t, 200, same.do("a", "", "withdraw", `{"amount":10}`).status)
	same.owner.stop()
	<-same.owner.done

	other := newFakeLog() // the topic was deleted and created again
	other.id = 2
	anew := newBench(t, other, func(c *ownerConfig) { c.claim.Instance = "anew" })
	anew.owner.engine = engine
	anew.start()
	require.Equal(t, 201, anew.do("a", "", "deposit", `{"amount":10}`).status)
}
