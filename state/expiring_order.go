package state

import "math"

// expiringOrder finds the expired rows of a store with a TTL, in the order of their timestamps. A row that is put again
// keeps its fresh place if that is earlier. When that place comes first, the row gets a new place at its current
// timestamp. A row may also have changed since its local row was written, so it is checked when its local row comes
// first.
type expiringOrder[V any] struct {
	byTimestamp timestampOrder[V]
	times       map[string]int64 // time of the fresh place, by key
}

func newExpiringOrder[V any](rows *cache[V]) expiringOrder[V] {
	return expiringOrder[V]{byTimestamp: newTimestampOrder(rows), times: make(map[string]int64)}
}

// put gives a row that was put a fresh place, unless it has an earlier one.
func (o *expiringOrder[V]) put(r *row[V]) {
	if time, ok := o.times[r.key]; ok && time <= r.timestamp {
		return
	}
	o.times[r.key] = r.timestamp
	o.byTimestamp.fresh.push(place{time: r.timestamp, key: r.key})
}

// next returns the first row with a timestamp before the given time, or nil if there is none. The caller must remove
// it.
func (o *expiringOrder[V]) next(before int64) (*row[V], error) {
	for {
		for from, more := o.byTimestamp.unread(); more && from < before; from, more = o.byTimestamp.unread() {
			if err := o.read(); err != nil {
				return nil, err
			}
		}
		p, fresh, ok := o.byTimestamp.first()
		if !ok || p.time >= before {
			return nil, nil
		}
		o.byTimestamp.take(fresh)
		var r *row[V]
		var err error
		if fresh {
			r = o.freshRow(p)
		} else {
			r, err = o.committedRow(p)
		}
		if r != nil || err != nil {
			return r, err
		}
	}
}

// freshRow returns the row of a fresh place, or nil if the row has another place now.
func (o *expiringOrder[V]) freshRow(p place) *row[V] {
	if time, ok := o.times[p.key]; !ok || time != p.time {
		return nil // the row also had an earlier place, which was handled before
	}
	delete(o.times, p.key)
	r := o.byTimestamp.rows.lookup([]byte(p.key))
	switch {
	case r == nil || !r.present:
		return nil
	case r.timestamp != p.time:
		o.put(r)
		return nil
	}
	return r
}

// committedRow returns the row that a local row leads to, or nil if the row has another place now.
func (o *expiringOrder[V]) committedRow(p place) (*row[V], error) {
	rows := o.byTimestamp.rows
	r, err := rows.get([]byte(p.key))
	if err != nil {
		return nil, err
	}
	if r.committed != exists || r.localTime != p.time {
		// The row has another local row, or none.
		o.byTimestamp.obsolete = append(o.byTimestamp.obsolete, string(appendLocalByTimestamp(nil, rows.spec.Name, []byte(p.key), p.time)))
	}
	if !r.present || r.timestamp != p.time {
		return nil, nil
	}
	return r, nil
}

// read reads the next local rows.
func (o *expiringOrder[V]) read() error {
	for local, err := range o.byTimestamp.read() {
		if err != nil {
			return err
		}
		o.byTimestamp.ahead = append(o.byTimestamp.ahead, place{time: local.time, key: string(local.suffix[timeSize:])})
	}
	return nil
}

func (o *expiringOrder[V]) flush(b *Batch) { o.byTimestamp.flush(b) }

// commit turns fresh places into committed ones. Rows that were changed after the flush keep a fresh place.
func (o *expiringOrder[V]) commit() {
	o.byTimestamp.commit()
	clear(o.times)
	o.byTimestamp.rows.dirty.each(func(r *row[V]) {
		if r.present {
			o.put(r)
		}
	})
}

func (o *expiringOrder[V]) rollback() {
	o.byTimestamp.floor = math.MinInt64
	o.byTimestamp.rollback()
	clear(o.times)
}
