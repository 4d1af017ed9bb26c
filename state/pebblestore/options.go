package pebblestore

import "log/slog"

// Options configures an engine. The zero value is good.
type Options struct {
	// Memory is what the engine uses for blocks, memtables and open files, shared with other engines. The default is a
	// memory of its own of DefaultMemoryBytes.
	Memory *Memory

	// Compress compresses blocks on disk with the fastest algorithm; default off, since most stores are small and
	// hot and their rows already packed.
	Compress bool

	// Logger receives what pebble reports: errors as errors, the rest for debugging. Default: nothing.
	Logger *slog.Logger
}

// DefaultMemoryBytes is the memory of an engine that was given none.
const DefaultMemoryBytes = 96 << 20

const (
	// defaultPartitions is how many partitions an engine's own memory is meant for.
	defaultPartitions = 16
	// bloomBitsPerKey makes one lookup of an absent key in a hundred read a block in vain.
	bloomBitsPerKey = 10
)

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}
