package pebblestore

import (
	"time"

	"github.com/seed84377926/millrace/state"
)

const (
	// stopSublevels is the number of sublevels of level 0 at which pebble stops writes. At bulkSublevels, large batches
	// wait; they come from restores.
	stopSublevels = 24
	bulkSublevels = stopSublevels / 2

	// memTableRow is roughly the memory of a row in a memtable besides its bytes.
	memTableRow = 100

	bulkPoll = 10 * time.Millisecond
)

// isBulk reports whether a batch needs more than half a memtable. Pebble makes such a batch a memtable of its own.
func (db *database) isBulk(b *state.Batch) bool { return b.Size()+memTableRow*b.Len() > db.bulkBytes }

// applyBulk commits a large batch and waits until it is on disk. So a restore continues where it was even if the
// process is killed, and never has more than one large batch in memory.
func (db *database) applyBulk(commit func() error) error {
	if err := db.settle(); err != nil {
		return err
	}
	if err := commit(); err != nil {
		return err
	}
	return db.flush()
}

// settle waits until compactions have caught up. It polls, because pebble does not notify anyone.
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
