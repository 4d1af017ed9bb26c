package pebblestore

import (
	"fmt"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/seed84377926/millrace/state"
)

// Metrics counts the work of an engine's databases since they were opened, and says what they hold. Units are in the
// names, or are bytes.
type Metrics struct {
	MemTableBytes     int64 // memtables in memory, including those that are being written to disk
	MemTables         int64
	DiskBytes         int64 // all files, including those that are about to be deleted
	LiveTableBytes    int64 // tables that hold state
	LiveTables        int64
	CacheBytes        int64 // the block cache, which engines with the same Memory share
	CacheHits         int64
	CacheMisses       int64
	FilterHits        int64 // lookups that a bloom filter answered
	FilterMisses      int64
	Flushes           int64
	FlushedBytes      int64
	Compactions       int64
	CompactedBytes    int64 // written by compactions
	CompactionTime    time.Duration
	CompactionDebt    int64 // estimated bytes that compactions still have to process
	FailedCompaction  int64
	ReadAmplification int64 // tables that a lookup may have to read
	WriteStalls       int64
	WriteStallTime    time.Duration // that writes waited for flushes or compactions
}

// Measured is an engine with metrics. The engine that [Open] returns is one. Both methods are safe for concurrent use
// and fail with state.ErrClosed once the engine is closed.
type Measured interface {
	// Metrics returns the metrics of the whole engine.
	Metrics() (Metrics, error)
	// DiskUsage estimates the bytes of partition p on disk, without rows that are still in a memtable.
	DiskUsage(p int32) (int64, error)
}

var _ interface {
	state.Engine
	Measured
} = (*engine)(nil)

// Metrics implements Measured. It returns the sum over all open databases.
func (e *engine) Metrics() (Metrics, error) {
	if err := e.users.enter(); err != nil {
		return Metrics{}, err
	}
	defer e.users.leave()
	var sum Metrics
	return sum, e.visit(func(p *partition) error {
		db, err := p.enter()
		if err != nil {
			return nil // it is not open
		}
		defer db.users.leave()
		sum.add(db.pebble.Metrics())
		stalls, stalled := db.health.stalls.read(time.Now())
		sum.WriteStalls += stalls
		sum.WriteStallTime += stalled
		return nil
	})
}

func (s *Metrics) add(m *pebble.Metrics) {
	total := m.Total()
	s.MemTableBytes += int64(m.MemTable.Size)
	s.MemTables += m.MemTable.Count
	s.DiskBytes += int64(m.DiskSpaceUsage())
	s.LiveTableBytes += total.TablesSize
	s.LiveTables += total.TablesCount
	s.CacheBytes, s.CacheHits, s.CacheMisses = m.BlockCache.Size, m.BlockCache.Hits, m.BlockCache.Misses // one for all
	s.FilterHits += m.Filter.Hits
	s.FilterMisses += m.Filter.Misses
	s.Flushes += m.Flush.Count
	s.FlushedBytes += int64(total.TableBytesFlushed)
	s.Compactions += m.Compact.Count
	s.CompactedBytes += int64(total.TableBytesCompacted)
	s.CompactionTime += m.Compact.Duration
	s.CompactionDebt += int64(m.Compact.EstimatedDebt)
	s.FailedCompaction += m.Compact.FailedCount
	s.ReadAmplification = max(s.ReadAmplification, int64(m.ReadAmp()))
}

// DiskUsage implements Measured. For a partition that is not open it returns 0.
func (e *engine) DiskUsage(p int32) (int64, error) {
	if err := e.enter(p); err != nil {
		return 0, err
	}
	defer e.users.leave()
	db, err := e.part(p).enter()
	if err != nil {
		return 0, nil // it is not open
	}
	defer db.users.leave()
	n, err := db.pebble.EstimateDiskUsage([]byte{rowPrefix}, []byte{rowEnd})
	if err != nil {
		return 0, fmt.Errorf("size of partition %d: %w", p, db.health.readError(err))
	}
	return int64(n), nil
}

// stalls measures how long pebble makes writes wait in total. Pebble reports one stall at a time.
type stalls struct {
	sync.Mutex
	count int64
	total time.Duration
	since time.Time // start of the current stall; zero if there is none
}

func (s *stalls) begin(now time.Time) {
	s.Lock()
	defer s.Unlock()
	s.count++
	s.since = now
}

func (s *stalls) end(now time.Time) {
	s.Lock()
	defer s.Unlock()
	if !s.since.IsZero() {
		s.total += now.Sub(s.since)
		s.since = time.Time{}
	}
}

func (s *stalls) read(now time.Time) (count int64, total time.Duration) {
	s.Lock()
	defer s.Unlock()
	if s.since.IsZero() {
		return s.count, s.total
	}
	return s.count, s.total + now.Sub(s.since)
}
