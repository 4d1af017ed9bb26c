// Package pebblestore is the state engine that keeps its rows on disk. It is a directory with one pebble database for
// each partition. All databases share their memory.
//
//	Open("state/airport-flights", Options{Memory: memory})
//	  │
//	  ├── 0.0/  partition 0 ──▶ memtables ──flush──▶ sstables     no write-ahead log
//	  ├── 3.1/  partition 3         ▲                   ▲
//	  └── 7.0/  partition 7         └───── Memory ──────┘         one for all engines of the process
//
// There is no write-ahead log, because the changelog is one. After a crash the lost writes are restored from the
// changelog, starting at the offset that survived. Three invariants make this safe:
//
//   - D1: a batch and its changelog offset are one write of pebble. A crash loses the last writes only, and each of
//     them completely, so rows and offset always belong together.
//   - D2: [state.Engine].Flush, Release and Close write everything to disk, so that a clean stop loses nothing.
//   - D3: partitions share nothing on disk, so that any damage to any file affects one partition only. The error is
//     [ErrCorrupt]: Drop the partition and restore it from its changelog.
//
// When the disk fails, Apply and Flush return the error until a write succeeds again. Nothing is dropped in the
// meantime, but rows that were not flushed are in memory only.
//
// The layout of directories and keys is described in docs/formats.md.
package pebblestore
