package pebblestore

import "github.com/cockroachdb/pebble/v2"

// Memory is the memory that the engines of a process share, however many they are and however many partitions they
// have open:
//
//	bytes ┬ memtables   at most two fifths, two for each partition
//	      └ blocks      what the memtables do not take at the moment
//
// It is safe for concurrent use.
type Memory struct {
	blocks   *pebble.Cache
	tables   *pebble.FileCache
	memTable int64
}

const (
	// memTables is how many memtables a partition has: the one that is written and the one on its way to disk. Writes
	// wait for the disk when both are full.
	memTables = 2

	minMemTable = 64 << 10 // of a smaller one too little is left for rows
	maxMemTable = 64 << 20 // a larger one makes a stop slower and nothing faster

	bytesPerTable = 128 << 10 // memory for each file that may be open
	minTables     = 64
	maxTables     = 1000
)

// NewMemory returns a memory of the given number of bytes for up to the given number of open partitions. With less than
// [MinMemory] it takes MinMemory. The caller closes it after it has opened the engines that share it.
func NewMemory(bytes int64, partitions int) *Memory {
	bytes = max(bytes, MinMemory(partitions))
	shards := max(1, min(8, int(bytes/minMemTable)))
	return &Memory{
		blocks:   pebble.NewCache(bytes),
		tables:   pebble.NewFileCache(shards, int(min(max(bytes/bytesPerTable, minTables), maxTables))),
		memTable: memTableSize(bytes, partitions),
	}
}

// MinMemory returns the least bytes that the memory for so many partitions takes: smaller memtables than 64 KiB do not
// work.
func MinMemory(partitions int) int64 {
	return max(1, int64(partitions)) * memTables * minMemTable * 5 / 2
}

func memTableSize(bytes int64, partitions int) int64 {
	return min(max(bytes*2/5/memTables/max(1, int64(partitions)), minMemTable), maxMemTable)
}

// hold keeps the memory until another Close.
func (m *Memory) hold() *Memory {
	m.blocks.Ref()
	m.tables.Ref()
	return m
}

// Close gives up the caller's hold on the memory; the last one, which may be an engine's, frees it.
func (m *Memory) Close() {
	m.tables.Unref()
	m.blocks.Unref()
}

// BlockBytes returns how many bytes of blocks are in the memory now.
func (m *Memory) BlockBytes() int64 { return m.blocks.Size() }
