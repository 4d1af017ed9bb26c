// Package engine runs sub-topologies, without knowing what operators there are: package topology makes its programs.
//
// A [Task] runs a [Program] for one partition. It has two sides. Its owner, the runtime or the test driver, calls the
// methods of Task: records go in by Process, output comes out at the [Sink], and Flush, Committed and Rollback say what
// becomes of both. The operators are wired into its [Host] and know nothing of the owner:
//
//	owner ──▶ Task: Process, AdvanceWallClock, Poll, Flush, Committed, Rollback, Close
//	            │                                                  ▲ parts: flushed, rolled back, closed
//	            ▼                                                  │
//	          Reader ──▶ operator ──▶ operator ──▶ Host.Send ──▶ Sink
//
// An operator that takes part in the life of a task registers a part with the Host while the task is wired:
//
//	what it needs                                    part
//	rows that are committed and rolled back          [Host.AddStore]
//	the largest timestamp of its records             [Host.Clock], with hooks to expire and to emit
//	another time that is committed                   [Host.StoredTime], [Host.VolatileTime]
//	a call after a record, or between two            [Host.AddStreamTimeAlarm], [Host.AddWallClockAlarm]
//	to hold records back until the commit            [Holder]
//	work on old rows before the next record          [Preparer]
//	to be made again after a rollback                [Renewable]
//	calls that run beside the task                   [Caller], [Executor]
//
// # What the task does, in this order
//
//   - NewTask: wires the inputs; looks for broken [Renewable] parts; starts the clocks that follow the wall clock in pauses; looks for
//     a missing [Executor]; finds out whether a [Preparer] has work to do.
//   - Process: does the work of Preparers that is left; runs the record through the operators; then lets the alarms of stream time ring.
//   - Flush: waits for calls and has each [Holder] release what it holds, upstream first, until no call is left;
//     forgets that a commit was requested; marks the times to be committed, volatile ones first, then the stream time
//     of the task, then the times of the operators, each of which expires its rows just before its time is stored;
//     flushes the stores, in the order in which they were added.
//   - Committed: the stream time of the task, volatile times, the times of operators, stores.
//   - Rollback: ends the pause; cancels calls; forgets the punctuation, the request for a commit and the error of the state; rolls
//     back the stream time of the task, volatile times, the times of operators, and stores; looks for Preparers with work to do;
//     has each Holder forget; renews each Renewable.
//   - Close: cancels calls; closes each Renewable; closes the stores.
//
// # Invariants
//
//   - EN1: Parts are registered while the task is wired, and never later. Parts of one kind are in the order of the wiring:
//     downstream before upstream.
//   - EN2: A record costs nothing for parts that are not there: Process looks at two fields and at an empty slice.
//   - EN3: Time comes from outside: stream time from records, the wall clock from the owner. The task starts no goroutine, and only
//     the [Executor] does.
//   - EN4: The position of an error or a drop is the input record, or the punctuation, that is processed. A result of a call counts
//     as a part of the record that it was made for.
//   - EN5: The task never writes again to memory that it has handed to the Sink.
//   - EN6: An error of state that a function of the user met is never attributed to the record, whatever the function
//     returned.
//   - EN7: After Rollback stores and times are as they were when the last batch was committed, no Holder holds anything, and each
//     Renewable is new.
//
// The package does no I/O, reads no clock, starts no goroutine and uses no random numbers.
package engine
