package pebblestore

import (
	"fmt"
	"sync"
	"time"

	"github.com/seed84377926/millrace/state"
)

// Metrics is what an engine's database has done since it was opened, and what it holds. Bytes and times, unless a name
// says otherwise.
type Metrics struct {
	MemTableBytes     int64 // memtables in memory, those that are being written to disk included
	MemTables         int64
	DiskBytes         int64 // all files, those that wait to be deleted included
	LiveTableBytes    int64 // tables that hold state
	LiveTables        int64
	CacheBytes        int64 // the block cache; all engines that share it say the same
	CacheHits         int64
	CacheMisses       int64
	FilterHits        int64 // lookups that a bloom filter answered
	FilterMisses      int64
	Flushes           int64
	FlushedBytes      int64
	Compactions       int64
	CompactedBytes    int64 // written by compactions
	CompactionTime    time.Duration
	CompactionDebt    int64 // estimated bytes to compact until the shape is right
	FailedCompaction  int64
	ReadAmplification int64 // tables that a lookup may have to look at
	WriteStalls       int64
	WriteStallTime    time.Duration // that writes waited for flushes or compactions
}

// Measured is an engine that can tell what its database does; the engine of [Open] is. Both methods are safe for
// concurrent use and fail with state.ErrClosed once the engine is closed.
type Measured interface {
	// Metrics returns the metrics of the whole engine.
	Metrics() (Metrics, error)
	// DiskUsage estimates the bytes that partition p takes on disk; what is still in a memtable is not counted.
	DiskUsage(p int32) (int64, error)
}

var _ interface {
	state.Engine
	Measured
} = (*engine)(nil)

// Metrics implements Measured.
func (e *engine) Metrics() (Metrics, error) {
	if err := e.users.enter(); err != nil {
		return Metrics{}, err
	}
	defer e.users.leave()
	m := e.db.Metrics()
	total := m.Total()
	stalls, stalled := e.health.stalls.read(time.Now())
	return Metrics{
		MemTableBytes: int64(m.MemTable.Size), MemTables: m.MemTable.Count,
		DiskBytes: int64(m.DiskSpaceUsage()), LiveTableBytes: total.TablesSize, LiveTables: total.TablesCount,
		CacheBytes: m.BlockCache.Size, CacheHits: m.BlockCache.Hits, CacheMisses: m.BlockCache.Misses,
		FilterHits: m.Filter.Hits, FilterMisses: m.Filter.Misses,
		Flushes: m.Flush.Count, FlushedBytes: int64(total.TableBytesFlushed),
		Compactions: m.Compact.Count, CompactedBytes: int64(total.TableBytesCompacted), CompactionTime: m.Compact.Duration,
		CompactionDebt: int64(m.Compact.EstimatedDebt), FailedCompaction: m.Compact.FailedCount,
		ReadAmplification: int64(m.ReadAmp()), WriteStalls: stalls, WriteStallTime: stalled,
	}, nil
}

// DiskUsage implements Measured.
func (e *engine) DiskUsage(p int32) (int64, error) {
	if err := checkPartition(p); err != nil {
		return 0, err
	}
	if err := e.users.enter(); err != nil {
		return 0, err
	}
	defer e.users.leave()
	lo, hi := bounds(p)
	n, err := e.db.EstimateDiskUsage(lo, hi)
	if err != nil {
		return 0, fmt.Errorf("size of partition %d: %w", p, e.health.readError(err))
	}
	return int64(n), nil
}

// stalls counts the times when pebble makes writes wait. It reports one at a time.
type stalls struct {
	sync.Mutex
	count int64
	total time.Duration
	since time.Time // of the one under way, zero if there is none
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
