package pebblestore

import (
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
)

// Options configures an engine. The zero value is good.
type Options struct {
	// CacheBytes is the memory for blocks read from disk, uncompressed; default 64 MiB. Cache overrides it.
	CacheBytes int64

	// Cache is a block cache shared with other engines; default: one of its own.
	Cache *Cache

	// MemTableBytes is the size at which a memtable is written to disk; default 16 MiB, at least 256 KiB. Up to four
	// exist at a time; then writes wait for the disk.
	MemTableBytes int64

	// MaxOpenFiles bounds the open files; default 500, at least 64.
	MaxOpenFiles int

	// Compress compresses blocks on disk with the fastest algorithm; default off, since most stores are small and
	// hot and their rows already packed.
	Compress bool

	// Logger receives what pebble reports: errors as errors, the rest for debugging. Default: nothing.
	Logger *slog.Logger
}

// Sizes that the zero values of [Options] stand for.
const (
	DefaultCacheBytes    = 64 << 20
	DefaultMemTableBytes = 16 << 20
	DefaultMaxOpenFiles  = 500
)

const (
	minMemTableBytes = 256 << 10
	maxMemTableBytes = 1 << 30
	minOpenFiles     = 64
	// memTables is how many memtables may wait for the disk before writes do.
	memTables = 4
	// bloomBitsPerKey makes one lookup of an absent key in a hundred read a block in vain.
	bloomBitsPerKey = 10
)

func (o Options) withDefaults() Options {
	if o.CacheBytes == 0 {
		o.CacheBytes = DefaultCacheBytes
	}
	if o.MemTableBytes == 0 {
		o.MemTableBytes = DefaultMemTableBytes
	}
	if o.MaxOpenFiles == 0 {
		o.MaxOpenFiles = DefaultMaxOpenFiles
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func (o Options) validate() error {
	switch {
	case o.CacheBytes < 0:
		return fmt.Errorf("pebblestore: CacheBytes is %d: want 0 for the default or more", o.CacheBytes)
	case o.MemTableBytes < minMemTableBytes || o.MemTableBytes > maxMemTableBytes:
		return fmt.Errorf("pebblestore: MemTableBytes is %d: want 0 for the default or %d to %d",
			o.MemTableBytes, minMemTableBytes, maxMemTableBytes)
	case o.MaxOpenFiles < minOpenFiles:
		return fmt.Errorf("pebblestore: MaxOpenFiles is %d: want 0 for the default or at least %d", o.MaxOpenFiles, minOpenFiles)
	}
	return nil
}

// Cache is a block cache that several engines share, so that together they use no more than its size.
type Cache struct {
	blocks *pebble.Cache
}

// NewCache returns a cache of the given number of bytes. The caller closes it after it has opened the engines that
// share it; they keep it alive until they are closed.
func NewCache(bytes int64) *Cache { return &Cache{blocks: pebble.NewCache(bytes)} }

// Close releases the caller's hold on the cache. It must be called once.
func (c *Cache) Close() { c.blocks.Unref() }
