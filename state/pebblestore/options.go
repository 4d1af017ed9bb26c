package pebblestore

import "log/slog"

// Options configures an engine. The zero value works.
type Options struct {
	// Memory is the memory for blocks, memtables and open files. Engines may share it. Default: a memory of the
	// engine's own with DefaultMemoryBytes.
	Memory *Memory

	// Compress compresses blocks on disk with the fastest algorithm. Default: off, because most stores are small and
	// hot, and their rows are compact.
	Compress bool

	// Logger receives pebble's log: errors at level error, everything else at level debug. Default: no log.
	Logger *slog.Logger
}

// DefaultMemoryBytes is the memory of an engine whose Options have none.
const DefaultMemoryBytes = 96 << 20

const (
	// defaultPartitions is the number of partitions that an engine's own memory is sized for.
	defaultPartitions = 16
	// bloomBitsPerKey makes one in a hundred lookups of absent keys read a block in vain.
	bloomBitsPerKey = 10
)

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}
