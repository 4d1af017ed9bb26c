package pebblestore

import "github.com/cockroachdb/pebble/v2"

// Memory is the memory that all engines of a process share, with all their open partitions:
//
//	bytes ┬ memtables   at most two fifths, two for each partition
//	      └ blocks      what the memtables do not use at the moment
//
// It is safe for concurrent use.
type Memory struct {
	blocks   *pebble.Cache
	tables   *pebble.FileCache
	memTable int64
}

const (
	// memTables is the number of memtables of a partition: one takes writes while the other is written to disk. Writes
	// wait for the disk when both are full.
	memTables = 2

	minMemTable = 64 << 10 // a smaller memtable has too little room for rows
	maxMemTable = 64 << 20 // a larger memtable makes a stop slower and nothing faster

	bytesPerTable = 128 << 10 // memory for each open file
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

// MinMemory returns the smallest memory, in bytes, for that many partitions: a memtable needs at least 64 KiB.
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

// Close ends the caller's hold on the memory. The last holder to close, which may be an engine, frees it.
func (m *Memory) Close() {
	m.tables.Unref()
	m.blocks.Unref()
}

// BlockBytes returns the bytes of the blocks that are in memory now.
func (m *Memory) BlockBytes() int64 { return m.blocks.Size() }
