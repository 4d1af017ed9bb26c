// Package state keeps the state of tasks: engines that hold the committed bytes, typed stores that tasks work on, and
// the formats that both share with changelogs and views.
//
//	 task (one goroutine)                                     readers (any goroutine)
//	   │ Get, Put, Delete, Range, Fetch                           │ Get, Range, Prefix, Fetch
//	   ▼                                                          ▼
//	KeyValue[K,V]  Expiring[K,V]      decoded rows,          KeyValueReader
//	Windowed[K,V]  Sessions[K,V]      charged to a Budget    WindowReader  SessionReader
//	Versioned[K,V]  Index                                    VersionReader  IndexReader
//	SuppressBuffer[K,V]  JoinBuffer[K,V]  TimeQueue[K,V]
//	   │    write-back cache                                      │
//	   │ Flush                                                    │
//	   ▼                                                          │
//	 Batch ───────────────▶ changelog (the rows that are not local)
//	   │ Apply, after Kafka has confirmed                         │
//	   ▼                                                          ▼
//	Partition: sorted bytes, what is committed ◀──────────────────┘
//	   │
//	Engine: NewMemory, pebblestore.Open
//
// A task reads and writes decoded values. Changed rows are dirty: they stay in the store until the task commits, so ten
// thousand updates of one key become one record of the changelog and one write to the engine. A commit is
//
//	store.Flush(batch)        every dirty row, once, in key order
//	…                         write the batch to the changelog, commit the transaction
//	partition.Apply(batch)    rows and changelog offset, both or neither
//	store.Committed()         the rows are clean
//
// After a commit that failed, store.Rollback() forgets the dirty rows, and reads see the partition again.
//
// # Stores
//
// Besides its key, a row has:
//
//	KeyValue    nothing                      never expires
//	Expiring    nothing                      expires one TTL after its timestamp
//	Windowed    the start of a window        expires by the end of the window
//	Sessions    start and end of a session   expires by its end
//	Versioned   the time its version ends    expires by that end
//
// Stores remove no expired rows by themselves: their task sets stream time and calls Expire. Reads hide expired rows
// even before Expire has removed them, so results do not depend on when the task commits.
//
// Three buffers keep records for one operator, and only the operator reads them:
//
//	SuppressBuffer  one update of each key until it is due, by the time of the first update and then by the key
//	JoinBuffer      all records of each key until they expire, by timestamp and number
//	TimeQueue       records until they are due, by time, side, key and number
//
// An [Index] belongs to another store and finds the rows of that store by their values. Its rows are logged, not local,
// because a reader cannot compute index keys; see docs/decisions/0015.
//
// # What else is kept
//
// A [Layout] is the set of stores that share a changelog: a restore finds by it which store a row belongs to. [Offsets]
// is a set of input positions, and a client gets one as a token. A [Position] says which input offsets the state of a
// task reflects; it is a row itself, the last one of each commit. Buffers number the records that they keep
// (sequence.go), and continue after a restart.
//
// # Local rows and time orders
//
// The rows of a store sort by key. To find the rows of all keys by time, a store keeps a time order: for each row, a
// local row whose key begins with the time. It is called local because it is computed from the row and never reaches
// the changelog.
//
// For each record, aggregates in sliding windows and sessions look up the rows of a key near stream time. recentRows
// tracks the rows of recently used keys by time, so that these lookups need no scan. It has a run of cached rows for
// each key, the time from which the run is complete, and one time from which all other keys have no rows. Evicting a
// row shortens the tracked range. After a rollback or a restart nothing is tracked until it is scanned again. A session
// that grows becomes a new row with each record; a row that is added and replaced within one commit is never written.
//
// # Invariants
//
//   - ST1: a Partition holds committed state only. Its rows reflect exactly the offset that it reports, also after a
//     crash.
//   - ST2: a dirty row is never evicted. A clean row equals the row of the partition.
//   - ST3: rows sort by their encoded keys. The bounds of range reads refer to the order of encoded keys.
//   - ST4: local rows can be computed from the rows of the changelog. They are written to the engine in the same batch
//     and never to a topic; [Layout.RestoreRow] computes them again. A local row may be obsolete, but a row that needs
//     a local row always has it.
//   - ST5: nil means null (no row), empty means an empty value. They are never confused.
//   - ST6: borrowed memory is not kept. The slices of a scanned row are valid until the next row, the slices of a batch
//     until Reset, and the reader of a snapshot until the function returns. Borrowers modify nothing.
//   - ST7: one goroutine at a time uses a store, and one at a time applies batches to a partition or drops it. This is the
//     part of the runtime's I5 that concerns state.
//   - ST8: the DirtyBytes of a store are the sum of what its dirty rows cost. What the store charges its budget for all
//     rows is never less.
//
// Programs that are built with the tag "invariants" check ST2 to ST8 as they run, ST2 and ST4 for a part of the rows.
//
// All formats are described, with diagrams, in docs/formats.md.
//
// The package does no I/O, reads no clock and starts no goroutine. The pebble engine is in package pebblestore, the
// conformance suite for engines in package statetest.
package state
