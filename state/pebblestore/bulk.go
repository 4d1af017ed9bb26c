package pebblestore

import (
	"time"

	"github.com/seed84377926/millrace/state"
)

const (
	// stopSublevels is how many tables of level 0 may lie above each other before pebble stops writes, and bulkSublevels
	// how many before large batches, which a restore brings, wait.
	stopSublevels = 24
	bulkSublevels = stopSublevels / 2

	// memTableRow is what a row takes in a memtable beside its bytes, about.
	memTableRow = 100

	bulkPoll = 10 * time.Millisecond
)

// isBulk says whether a batch takes more than half a memtable: pebble makes a memtable of its own of it.
func (db *database) isBulk(b *state.Batch) bool { return b.Size()+memTableRow*b.Len() > db.bulkBytes }

// applyBulk commits a large batch and waits until it is on the disk, so that a restore goes on where it was even if the
// process is killed, and never has more than one of them in memory.
func (db *database) applyBulk(commit func() error) error {
	if err := db.settle(); err != nil {
		return err
	}
	if err := commit(); err != nil {
		return err
	}
	return db.flush()
}

// settle waits until compactions have caught up. They tell nobody when they have.
func (db *database) settle() error {
	var ticker *time.Ticker
	for db.pebble.Metrics().Levels[0].Sublevels > bulkSublevels {
		if ticker == nil {
			ticker = time.NewTicker(bulkPoll)
			defer ticker.Stop()
		}
		select {
		case <-ticker.C:
		case <-db.health.failed():
			return db.health.check()
		}
	}
	return nil
}
