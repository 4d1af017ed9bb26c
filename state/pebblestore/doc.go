// Package pebblestore is the state engine that keeps its rows on disk, in one pebble database.
//
//	Open("state/airport-flights", Options{})
//	  │
//	  ├── partition 0 ──┐
//	  ├── partition 3 ──┼──▶ memtables ──flush──▶ sstables     no write-ahead log
//	  └── partition 7 ──┘    MemTableBytes        CacheBytes of blocks in memory
//
// There is no write-ahead log, because the changelog is one: what a crash loses is restored from the offset that
// survived it. What makes that safe is
//
//   - P1: a batch and its changelog offset are one write of pebble. A crash loses the last writes, never one between
//     others and never a part of one, so that rows and offset always belong together.
//   - P2: [state.Engine].Flush and Close write out everything, so that a clean stop loses nothing.
//
// Memory is bounded: CacheBytes + 4 × MemTableBytes + about 50 KiB for each open file. Several engines of one process
// may share one [Cache].
//
// When the disk fails, Apply and Flush return the error until a write succeeds again; nothing is dropped meanwhile, but
// what was not flushed lives in memory only. Files that are damaged or missing are [ErrCorrupt]: [Remove] them and
// restore the state from its changelog.
//
// The layout of keys is described in docs/formats.md.
package pebblestore
