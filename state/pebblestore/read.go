package pebblestore

import (
	"errors"
	"iter"

	"github.com/cockroachdb/pebble/v2"

	"github.com/seed84377926/millrace/internal/invariants"
	"github.com/seed84377926/millrace/state"
)

// get appends the value of key, its prefix included, to dst. from is the database or a snapshot of it.
func (db *database) get(from pebble.Reader, dst, key []byte) ([]byte, bool, error) {
	data, closer, err := from.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return dst, false, nil
	}
	if err != nil {
		return dst, false, db.health.readError(err)
	}
	dst = append(dst, data...)
	if err := closer.Close(); err != nil {
		return dst, false, db.health.readError(err)
	}
	return dst, true, nil
}

// scan calls yield with the rows until yield returns false. Then it returns no error.
func (db *database) scan(from pebble.Reader, lo, hi []byte, yield func(state.Row) bool) (err error) {
	upper := []byte{rowEnd}
	if hi != nil {
		upper = append([]byte{rowPrefix}, hi...)
	}
	it, err := from.NewIter(&pebble.IterOptions{
		LowerBound: append([]byte{rowPrefix}, lo...),
		UpperBound: upper,
	})
	if err != nil {
		return db.health.readError(err)
	}
	stopped := false
	defer func() {
		if closeErr := it.Close(); closeErr != nil && !stopped {
			err = db.health.readError(closeErr)
		}
	}()
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return db.health.readError(err)
		}
		if value == nil {
			value = []byte{} // nil would mean no row
		}
		loan := invariants.Lend(it.Key()[1:], value)
		more := yield(state.Row{Key: loan.Key, Value: loan.Value})
		loan.End("ST6")
		if !more {
			stopped = true
			return nil
		}
	}
	return nil
}

// Snapshot implements state.Partition.
func (p *partition) Snapshot(read func(state.Reader) error) (err error) {
	db, err := p.enter()
	if err != nil {
		return err
	}
	defer db.users.leave()
	s := &snapshot{db: db, pebble: db.pebble.NewSnapshot()}
	defer func() { err = errors.Join(err, s.pebble.Close()) }()
	return read(s)
}

// snapshot is a database at one moment. It belongs to one goroutine.
type snapshot struct {
	db     *database
	pebble *pebble.Snapshot
	key    []byte // scratch
}

// Get implements state.Reader.
func (s *snapshot) Get(dst, key []byte) ([]byte, bool, error) {
	s.key = append(append(s.key[:0], rowPrefix), key...)
	return s.db.get(s.pebble, dst, s.key)
}

// Scan implements state.Reader.
func (s *snapshot) Scan(lo, hi []byte) iter.Seq2[state.Row, error] {
	return func(yield func(state.Row, error) bool) {
		if err := s.db.scan(s.pebble, lo, hi, func(r state.Row) bool { return yield(r, nil) }); err != nil {
			yield(state.Row{}, err)
		}
	}
}
