package engine

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/seed84377926/millrace/state"
)

// AddStore adds a store to the task: it is flushed, committed, rolled back and closed with it.
func (h *Host) AddStore(s state.Store) { h.stores = append(h.stores, s) }

// Holder is a part that holds records back until the commit.
type Holder interface {
	// Release forwards what is held.
	Release() error
	// Forget forgets what is held.
	Forget()
	// HeldBytes estimates the memory of what is held.
	HeldBytes() int64
}

// AddHolder adds a part that holds records back.
func (h *Host) AddHolder(p Holder) { h.holders = append(h.holders, p) }

// releaseHeld forwards what is held until the commit, from upstream to downstream: an operator may hold what another one
// releases.
func (h *Host) releaseHeld() (err error) {
	defer h.recovered(&err)
	for _, p := range slices.Backward(h.holders) { // what is downstream is wired first
		h.arena.begin()
		if err := p.Release(); err != nil {
			return err
		}
		h.arena.end()
	}
	return nil
}

// Preparer is a part that may have work to do before the next record, of rows that were there before it.
type Preparer interface {
	// Prepared reports whether nothing is left to do.
	Prepared() bool
	// Prepare works through at most limit more rows and returns how many.
	Prepare(limit int) (rows int, err error)
}

// AddPreparer adds a part that prepares itself from rows.
func (h *Host) AddPreparer(p Preparer) { h.preparers = append(h.preparers, p) }

// Unit runs f as a unit of work of its own, whose encodings are given up when it ends: for the rows of a [Preparer].
func (h *Host) Unit(f func() error) error {
	h.arena.begin()
	err := f()
	h.arena.end()
	return err
}

// Preparing reports whether operators have work to do before the next record, see [Task.Prepare].
func (t *Task) Preparing() bool { return t.host.unprepared }

// Prepare does work that must be done before the next record, such as building an index that was added to a table with rows: it
// works through at most limit more rows and returns how many, 0 if all is done. The owner calls it before the first record and
// commits after each call, so that what is not committed stays small; Process does the rest at once. A task that goes on need not
// repeat what was committed.
func (t *Task) Prepare(limit int) (rows int, err error) { return t.host.prepare(limit) }

func (h *Host) prepare(limit int) (rows int, err error) {
	for _, p := range h.preparers {
		if rows >= limit {
			break
		}
		n, err := p.Prepare(limit - rows)
		rows += n
		if err != nil {
			return rows, fmt.Errorf("sub-topology %q: partition %d: %w", h.name, h.cfg.Partition, err)
		}
	}
	h.findUnprepared()
	return rows, nil
}

// prepareRest does what the owner has not had done.
func (h *Host) prepareRest() error {
	if !h.unprepared {
		return nil
	}
	_, err := h.prepare(math.MaxInt)
	return err
}

func (h *Host) findUnprepared() {
	h.unprepared = slices.ContainsFunc(h.preparers, func(p Preparer) bool { return !p.Prepared() })
}

// Renewable is a part that keeps what a rollback cannot undo, such as the variables of a processor: it is made anew then.
type Renewable interface {
	// Renew makes it anew.
	Renew()
	// Broken says why it cannot work, nil if it can.
	Broken() error
	// Close ends it with the task. It may be called again.
	Close()
}

// AddRenewable adds a part that is made anew after a rollback.
func (h *Host) AddRenewable(p Renewable) { h.renewables = append(h.renewables, p) }

// findBroken returns what is wrong with the parts that were made anew.
func (h *Host) findBroken() error {
	var errs []error
	for _, p := range h.renewables {
		errs = append(errs, p.Broken())
	}
	return errors.Join(errs...)
}
