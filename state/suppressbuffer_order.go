package state

import "fmt"

// suppressOrder finds the first entry of a suppress buffer. Entries are removed only at the front. Entries may change
// while a commit is under way. Each entry records the era in which it got its place: the era says whether the place is
// committed or fresh.
type suppressOrder[V any] struct {
	byTimestamp timestampOrder[suppressed[V]]

	era, flushedEra, committedEra uint64
}

func newSuppressOrder[V any](rows *cache[suppressed[V]]) suppressOrder[V] {
	return suppressOrder[V]{byTimestamp: newTimestampOrder(rows), era: 1}
}

// add records the place of an entry, and returns the era.
func (o *suppressOrder[V]) add(time int64, key string) uint64 {
	o.byTimestamp.fresh.push(place{time: time, key: key})
	return o.era
}

// first returns the place of the first entry, and false if there is none.
func (o *suppressOrder[V]) first() (p place, ok bool, err error) {
	for from, more := o.byTimestamp.unread(); more; from, more = o.byTimestamp.unread() {
		if p, ok := o.byTimestamp.fresh.first(); ok && p.time < from {
			return p, true, nil
		}
		if err := o.read(); err != nil {
			return p, false, fmt.Errorf("read store %q by time: %w", o.byTimestamp.rows.spec.Name, err)
		}
	}
	p, _, ok = o.byTimestamp.first()
	return p, ok, nil
}

// remove removes the place that first returned. era is the era in which the entry got that place.
func (o *suppressOrder[V]) remove(era uint64) { o.byTimestamp.take(era > o.committedEra) }

// read reads the next committed places. It may find obsolete local rows, which a restore leaves.
func (o *suppressOrder[V]) read() error {
	for local, err := range o.byTimestamp.read() {
		if err != nil {
			return err
		}
		r, err := o.byTimestamp.rows.get(local.suffix[timeSize:])
		if err != nil {
			return err
		}
		switch {
		case r.present && r.timestamp == local.time:
			if r.value.era <= o.committedEra {
				o.byTimestamp.ahead = append(o.byTimestamp.ahead, place{time: local.time, key: r.key})
			}
		case r.committed != exists || r.localTime != local.time:
			// The row has another local row, or none.
			o.byTimestamp.obsolete = append(o.byTimestamp.obsolete, string(local.key))
		}
	}
	return nil
}

func (o *suppressOrder[V]) flush(b *Batch) {
	o.byTimestamp.flush(b)
	o.flushedEra = o.era
	o.era++
}

// commit turns the flushed places into committed ones. Rows that are still dirty were changed after the flush.
func (o *suppressOrder[V]) commit() {
	o.committedEra = o.flushedEra
	o.byTimestamp.commit()
	o.byTimestamp.rows.dirty.each(func(r *row[suppressed[V]]) {
		if r.present && r.value.era > o.committedEra {
			o.byTimestamp.fresh.push(place{time: r.timestamp, key: r.key})
		}
	})
}

func (o *suppressOrder[V]) rollback() { o.byTimestamp.rollback() }

// suppressTotals are the sums over the entries of a suppress buffer.
type suppressTotals struct{ now, flushed, committed suppressSum }

type suppressSum struct {
	entries int64
	bytes   int64 // of the entries whose size is known
}

func (s suppressSum) append(dst []byte) []byte {
	return appendInt64(appendInt64(dst, s.entries), s.bytes)
}

// readSuppressTotals reads the totals, which are in the row with the empty store key.
func readSuppressTotals(part Partition, store string) (suppressTotals, error) {
	data, ok, err := part.Get(nil, AppendRowKey(nil, store, nil))
	if err == nil && ok && len(data) != 2*timeSize {
		err = errShortTotals
	}
	if err != nil {
		return suppressTotals{}, fmt.Errorf("read store %q: totals: %w", store, err)
	}
	if !ok {
		return suppressTotals{}, nil
	}
	sum := suppressSum{entries: readInt64(data), bytes: readInt64(data[timeSize:])}
	return suppressTotals{now: sum, flushed: sum, committed: sum}, nil
}
