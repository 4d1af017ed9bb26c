// Package pebblestore is the state engine that keeps its rows on disk: a directory with one pebble database for each
// partition, which all share their memory.
//
//	Open("state/airport-flights", Options{Memory: memory})
//	  │
//	  ├── 0.0/  partition 0 ──▶ memtables ──flush──▶ sstables     no write-ahead log
//	  ├── 3.1/  partition 3         ▲                   ▲
//	  └── 7.0/  partition 7         └───── Memory ──────┘         one for all engines of the process
//
// There is no write-ahead log, because the changelog is one: what a crash loses is restored from the offset that
// survived it. What makes that safe is
//
//   - D1: a batch and its changelog offset are one write of pebble. A crash loses the last writes, never one between
//     others and never a part of one, so that rows and offset always belong together.
//   - D2: [state.Engine].Flush, Release and Close write out everything, so that a clean stop loses nothing.
//   - D3: nothing is shared between partitions on disk, so that damage to a file, whatever the file and whatever the
//     damage, concerns one partition. It is [ErrCorrupt]: Drop the partition and restore it from its changelog.
//
// When the disk fails, Apply and Flush return the error until a write succeeds again; nothing is dropped meanwhile, but
// what was not flushed lives in memory only.
//
// The layout of directories and keys is described in docs/formats.md.
package pebblestore
