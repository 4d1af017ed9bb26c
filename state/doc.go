// Package state keeps the state of tasks: the byte engines that hold what is committed, the typed stores that tasks
// work on, and the formats that both share with changelogs and views.
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
// A task reads and writes decoded values. Changed rows are dirty: they stay in the store until the task commits, so
// that ten thousand updates of one key become one record of the changelog and one write to the engine. A commit is
//
//	store.Flush(batch)        every dirty row, once, in key order
//	…                         write the batch to the changelog, commit the transaction
//	partition.Apply(batch)    rows and changelog offset, both or neither
//	store.Committed()         the rows are clean
//
// and a commit that failed is store.Rollback(): the dirty rows are forgotten and reads see the partition again.
//
// What a row is found by besides its key:
//
//	KeyValue    nothing                    expires never
//	Expiring    nothing                    by its timestamp, a TTL later
//	Windowed    the start of a window      by the end of the window
//	Sessions    start and end              by its end
//	Versioned   a time at which it is      by the time at which another version replaced it
//	            the valid one
//
// Who aggregates in sliding windows or sessions looks for the rows of a key near stream time, for each record. The stores therefore
// know which rows there are of the keys that are used (recentRows): a run of cached rows for each, with the time from which on it
// has all of them, and one time from which on there are no others, whatever the key. A look at times that are known scans nothing.
// What is evicted is not known any more; after a rollback or a restart nothing is, until it is scanned again. A session that grows
// is another row for each record: one that was made since the last commit goes without a trace.
//
// The buffers of operators keep what waits for its time, and are read by their operators only:
//
//	SuppressBuffer  one update of each key, by the place in time that the key got first
//	JoinBuffer      all records of each key, by timestamp and number
//	TimeQueue       records by time, side, key and number
//
// An Index is a store beside another one, whose rows it finds by what their values say. It is logged and not local, since who only
// reads cannot tell index keys; see docs/decisions/0015.
//
// Stores expire nothing by themselves: they know no stream time but what their task tells them.
//
// The rules that hold everywhere:
//
//   - S1: a Partition holds committed state only, and the offset it reports is the one that its rows reflect, also
//     after a crash.
//   - S2: a dirty row is never evicted, and a clean row equals the row of the partition.
//   - S3: rows sort by their encoded keys; range reads mean encoded-key order.
//   - S4: local rows (time orders) can be computed from the rows of the changelog. They are written to the engine in the
//     same batch and never to a topic; [Layout.RestoreRow] computes them again. A local row may lead to nothing; a row
//     that needs a local row always has it.
//   - S5: nil means null (no row), empty means an empty value. They are never confused.
//
// All formats are described, with diagrams, in docs/formats.md.
//
// The package does no I/O, reads no clock and starts no goroutine. The pebble engine is in package pebblestore, the
// conformance suite for engines in package statetest.
package state
