package state

// StoreStats counts the work of a store since it was made, including aborted work, and what its cache holds now.
// Lookups and writes that the store makes itself, for example to expire rows or to end a version, count too.
type StoreStats struct {
	Store string // its name
	Kind  Kind

	Gets    int64 // rows looked up
	Misses  int64 // the part of Gets that was not cached and was read from the partition
	Puts    int64 // rows written
	Deletes int64 // rows deleted, without expired rows
	Scans   int64 // ranges read
	Expired int64 // rows deleted because they expired
	Flushed int64 // dirty rows written to batches: each key once for each commit

	CachedRows  int64 // rows in the cache, including dirty rows
	CachedBytes int64 // the memory of these rows
	DirtyBytes  int64 // of CachedBytes: rows that are not committed yet

	Entries      int64 // of a suppress buffer: entries that it holds back
	EntriesBytes int64 // size of their keys and values, without entries put since the last flush
}

// Measured is a [Store] that counts its work. All stores of this package do. Stats belongs to the goroutine of the
// store and costs nothing.
type Measured interface{ Stats() StoreStats }

var (
	_ Measured = (*KeyValue[int, int])(nil)
	_ Measured = (*Expiring[int, int])(nil)
	_ Measured = (*Windowed[int, int])(nil)
	_ Measured = (*Sessions[int, int])(nil)
	_ Measured = (*Versioned[int, int])(nil)
	_ Measured = (*SuppressBuffer[int, int])(nil)
	_ Measured = (*JoinBuffer[int, int])(nil)
	_ Measured = (*TimeQueue[int, int])(nil)
	_ Measured = (*Index)(nil)
)

// Stats implements [Measured].
func (s *KeyValue[K, V]) Stats() StoreStats { return s.rows.stats() }

// Stats implements [Measured].
func (s *Expiring[K, V]) Stats() StoreStats { return s.kv.Stats() }

// Stats implements [Measured].
func (s *Windowed[K, V]) Stats() StoreStats { return s.rows.stats() }

// Stats implements [Measured].
func (s *Sessions[K, V]) Stats() StoreStats { return s.rows.stats() }

// Stats implements [Measured].
func (s *Versioned[K, V]) Stats() StoreStats { return s.rows.stats() }

// Stats implements [Measured].
func (s *SuppressBuffer[K, V]) Stats() StoreStats {
	stats := s.rows.stats()
	stats.Entries, stats.EntriesBytes = s.totals.now.entries, s.totals.now.bytes
	return stats
}

// Stats implements [Measured].
func (s *JoinBuffer[K, V]) Stats() StoreStats { return s.rows.stats() }

// Stats implements [Measured].
func (s *TimeQueue[K, V]) Stats() StoreStats { return s.rows.stats() }

// Stats implements [Measured].
func (x *Index) Stats() StoreStats { return x.rows.stats() }

// counts are the counters of one cache: plain numbers of the goroutine that owns it.
type counts struct{ gets, misses, puts, deletes, scans, expired, flushed int64 }

func (c *cache[V]) stats() StoreStats {
	return StoreStats{
		Store: c.spec.Name, Kind: c.spec.Kind,
		Gets: c.counts.gets, Misses: c.counts.misses, Puts: c.counts.puts, Deletes: c.counts.deletes,
		Scans: c.counts.scans, Expired: c.counts.expired, Flushed: c.counts.flushed,
		CachedRows: int64(len(c.ring)), CachedBytes: c.account.used, DirtyBytes: c.account.dirty,
	}
}
