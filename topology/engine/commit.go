package engine

import (
	"fmt"
	"slices"

	"github.com/seed84377926/millrace/state"
)

// Flush forwards what operators hold back until the commit, which may send output, removes expired windows and appends
// all changes since the last commit to b. They stay pending until Committed or Rollback.
//
// It fails like Process, except that a [*RecordError] names the record that was processed last, which need not be its
// cause.
func (t *Task) Flush(b *state.Batch) error {
	h := &t.host
	if h.inFlight > 0 {
		return fmt.Errorf("flush sub-topology %q: %d records wait for calls; call Drain first", h.name, h.inFlight)
	}
	for released := false; !released || h.inFlight > 0; released = true {
		// What is released may lead to calls, and their results may be held again.
		err := t.Drain()
		if err == nil {
			err = h.releaseHeld()
		}
		if err == nil && h.deferred && h.inFlight == 0 && h.origins.settle() {
			// Now no record is on its way. What clocks emit may be held again.
			if err = h.advanceTime(); err == nil {
				err = h.releaseHeld()
			}
		}
		if err != nil {
			return fmt.Errorf("flush sub-topology %q: %w", h.name, err)
		}
	}
	h.commitRequested = false
	h.origins.flush()
	for _, k := range h.volatileTimes {
		k.flush()
	}
	h.streamTime.flush()
	if h.times != nil {
		if err := h.times.flush(); err != nil {
			return fmt.Errorf("flush sub-topology %q: %w", h.name, err)
		}
	}
	for _, s := range h.stores {
		if err := s.Flush(b); err != nil {
			return fmt.Errorf("flush sub-topology %q: %w", h.name, err)
		}
	}
	return nil
}

// Committed says that the batch of the last Flush is applied to the state.
func (t *Task) Committed() {
	h := &t.host
	h.origins.commit()
	h.streamTime.commit()
	for _, k := range h.volatileTimes {
		k.commit()
	}
	if h.times != nil {
		h.times.commit()
	}
	for _, s := range h.stores {
		s.Committed()
	}
}

// Rollback forgets everything since the last commit, stream times included, and creates the processors again: what they
// keep in variables may come from what is forgotten.
func (t *Task) Rollback() {
	h := &t.host
	h.pause.end()
	h.cancelCalls()
	h.punctuation = nil
	h.commitRequested, h.stateErr = false, nil
	h.origins.rollback()
	h.streamTime.rollback()
	for _, k := range h.volatileTimes {
		k.rollback()
	}
	if h.times != nil {
		h.times.rollback()
	}
	for _, s := range h.stores {
		s.Rollback()
	}
	h.findUnprepared()
	for _, p := range h.holders {
		p.Forget()
	}
	for _, p := range h.renewables {
		p.Renew()
	}
	h.broken = h.findBroken()
}

// releaseHeld forwards what is held until the commit, from upstream to downstream: an operator may hold what another
// one releases.
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
