package engine

import (
	"fmt"
	"math"
	"slices"
)

// Unit runs f as a unit of work of its own, whose encodings are given up when it ends: for the rows of a [Preparer].
func (h *Host) Unit(f func() error) error {
	h.arena.begin()
	err := f()
	h.arena.end()
	return err
}

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

// prepareRest does the work that the owner has left over.
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
