package pebblestore

import (
	"sync"
	"time"

	"github.com/seed84377926/millrace/state"
)

// bulk keeps large batches, which a restore brings, from holding up the commits of other partitions. Pebble stops all
// writes while too many memtables wait for the disk or too many tables lie above each other; a batch that is larger than
// half a memtable counts as one of its own.
type bulk struct {
	sync.Mutex     // one at a time: pebble flushes one after the other anyway
	bytes      int // batches that take more of a memtable go this way
}

func (k *bulk) takes(b *state.Batch) bool { return b.Size()+memTableRow*b.Len() > k.bytes }

const (
	// stopSublevels is how many tables of level 0 may lie above each other before pebble stops writes, and bulkSublevels
	// how many before large batches wait.
	stopSublevels = 24
	bulkSublevels = stopSublevels / 2

	// memTableRow is what a row takes in a memtable beside its bytes, about.
	memTableRow = 100

	bulkPoll = 10 * time.Millisecond
)

// applyBulk commits a large batch and waits until it is on the disk, so that a restore goes on where it was even if the
// process is killed.
func (e *engine) applyBulk(commit func() error) error {
	e.bulk.Lock()
	defer e.bulk.Unlock()
	if err := e.settle(); err != nil {
		return err
	}
	if err := commit(); err != nil {
		return err
	}
	return e.flush()
}

// settle waits until compactions have caught up. They tell nobody when they have.
func (e *engine) settle() error {
	var ticker *time.Ticker
	for e.db.Metrics().Levels[0].Sublevels > bulkSublevels {
		if ticker == nil {
			ticker = time.NewTicker(bulkPoll)
			defer ticker.Stop()
		}
		select {
		case <-ticker.C:
		case <-e.health.failed():
			return e.health.check()
		}
	}
	return nil
}
