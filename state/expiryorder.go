package state

import "math"

// expiryOrder finds the rows of a store with a TTL that expire, in the order of their timestamps. A row that is put again
// keeps its fresh place: when its turn comes, it is put where it belongs. Local rows lead to rows that have changed since,
// too; what they lead to is looked at when their turn comes.
type expiryOrder[V any] struct {
	index timestampIndex[V]
	times map[string]int64 // the time of the fresh place of each key
}

func newExpiryOrder[V any](rows *cache[V]) expiryOrder[V] {
	return expiryOrder[V]{index: newTimestampIndex(rows), times: make(map[string]int64)}
}

// put says that a row was put.
func (o *expiryOrder[V]) put(r *row[V]) {
	if time, ok := o.times[r.key]; ok && time <= r.timestamp {
		return
	}
	o.times[r.key] = r.timestamp
	o.index.fresh.push(place{time: r.timestamp, key: r.key})
}

// next returns the first row with a timestamp before the given time, nil if there is none. It must be removed.
func (o *expiryOrder[V]) next(before int64) (*row[V], error) {
	for {
		for from, more := o.index.unread(); more && from < before; from, more = o.index.unread() {
			if err := o.read(); err != nil {
				return nil, err
			}
		}
		p, fresh, ok := o.index.first()
		if !ok || p.time >= before {
			return nil, nil
		}
		o.index.take(fresh)
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

// freshRow returns the row of a fresh place if that is still its place.
func (o *expiryOrder[V]) freshRow(p place) *row[V] {
	if time, ok := o.times[p.key]; !ok || time != p.time {
		return nil // the row had an earlier place as well, whose turn was before
	}
	delete(o.times, p.key)
	r := o.index.rows.lookup([]byte(p.key))
	switch {
	case r == nil || !r.present:
		return nil
	case r.timestamp != p.time:
		o.put(r)
		return nil
	}
	return r
}

// committedRow returns the row that a local row leads to if that is its place.
func (o *expiryOrder[V]) committedRow(p place) (*row[V], error) {
	rows := o.index.rows
	r, err := rows.get([]byte(p.key))
	if err != nil {
		return nil, err
	}
	if r.committed != exists || r.indexed != p.time {
		// The row's own local row, if there is one, is another one.
		o.index.obsolete = append(o.index.obsolete, string(appendTTLIndexKey(nil, rows.spec.Name, []byte(p.key), p.time)))
	}
	if !r.present || r.timestamp != p.time {
		return nil, nil
	}
	return r, nil
}

// read reads the next local rows.
func (o *expiryOrder[V]) read() error {
	for index, err := range o.index.read() {
		if err != nil {
			return err
		}
		o.index.ahead = append(o.index.ahead, place{time: index.time, key: string(index.suffix[timeSize:])})
	}
	return nil
}

func (o *expiryOrder[V]) flush(b *Batch) { o.index.flush(b) }

// commit makes the places of rows committed ones, unless they were changed since the flush.
func (o *expiryOrder[V]) commit() {
	o.index.commit()
	clear(o.times)
	o.index.rows.dirty.each(func(r *row[V]) {
		if r.present {
			o.put(r)
		}
	})
}

func (o *expiryOrder[V]) rollback() {
	o.index.floor = math.MinInt64
	o.index.rollback()
	clear(o.times)
}
