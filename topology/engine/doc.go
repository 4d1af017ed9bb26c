// Package engine runs sub-topologies, without knowing what operators there are: package topology makes its programs.
//
// A [Task] runs a [Program] for one partition. It has two sides. Its owner, the runtime or the test driver, calls the
// methods of Task: records go in by Process, output comes out at the [Sink], and Flush, Committed and Rollback say what
// becomes of both. The operators are wired into its [Host] and know nothing of the owner:
//
//	owner ──▶ Task: SetStreamTime, Prepare, Process, AdvanceWallClock, AdvanceIdle,
//	            │     Poll, Drain, Flush, Committed, Rollback, Close
//	            │                                                  ▲ parts: flushed, rolled back, closed
//	            ▼                                                  │
//	          Reader ──▶ operator ──▶ operator ──▶ Host.Send ──▶ Sink
//
// An operator that takes part in the life of a task registers a part with the Host while the task is wired:
//
//	what it needs                                    part
//	rows that are committed and rolled back          [Host.AddStore]
//	the stream time of its records                   [Host.Clock], with hooks to expire and to emit
//	another time that is committed                   [Host.StoredTime], [Host.VolatileTime]
//	a call after a record, or between two            [Host.AddStreamTimeAlarm], [Host.AddWallClockAlarm]
//	to hold records back until the commit            [Holder]
//	work on old rows before the next record          [Preparer]
//	to be made again after a rollback                [Renewable]
//	calls that run beside the task                   [Caller]
//
// Four kinds of parts are interfaces: [Host.AddHolder], [Host.AddPreparer], [Host.AddRenewable] and [Host.AddCaller]
// add them. An [Executor] is no part: the owner gives it to the task in [TaskConfig], and it runs the calls of the
// Callers.
//
// [Trial] wires a task that exists for that only, on empty state, and closes its parts again. Build finds mistakes with
// it.
//
// # What the task does, in this order
//
//   - NewTask: wires the inputs; looks for broken [Renewable] parts; starts the clocks that go on in pauses; looks for a missing [Executor]; finds out whether a [Preparer] has work to do.
//   - SetStreamTime: sets the stream time of the task, and how far the origins of its records have come, as if it had
//     been committed. The owner calls it after a restore.
//   - Prepare: has the Preparers work through a given number of rows at most. The owner commits after each call.
//   - Process: fails if a Renewable is broken; does the work of Preparers that is left; ends the pause; runs the record
//     through the operators; then lets the alarms of stream time ring.
//   - Tell: fails if a Renewable is broken; does the work of Preparers that is left; notes how far an origin has come;
//     advances the clocks that it has held back, upstream first, and lets them emit; then lets the alarms of stream time
//     ring.
//   - AdvanceWallClock: fails if a Renewable is broken; does the work of Preparers that is left; sets volatile times back
//     if the wall clock was; sets the wall clock; lets its alarms ring.
//   - AdvanceIdle: fails if a Renewable is broken; does the work of Preparers that is left; adds to the time of the pause;
//     lets the alarms of the pause ring.
//   - Poll: forwards the results of calls that have ended. Drain: waits for all calls and forwards their results.
//   - Flush: fails if a record waits for a call: the owner calls Drain before. It has each [Holder] release what it holds,
//     upstream first, and waits for the calls that this leads to, until no call is left; forgets that a commit was
//     requested; marks the times to be committed: volatile ones first, then the stream time of the task, then the stream
//     times of operators, then the other stored times. A stream time of an operator that has changed expires the rows
//     just before it is stored; a time that has not changed is skipped. At last Flush flushes the stores, in the order in
//     which they were added.
//   - Committed: the stream time of the task, volatile times, stored times, stores.
//   - Rollback: ends the pause; cancels calls; forgets the punctuation, the request for a commit and the error of the
//     state; rolls back the stream time of the task, volatile times, stored times, and stores; looks for Preparers with
//     work to do; has each Holder forget; renews each Renewable; asks each Renewable whether it is broken.
//   - Close: cancels calls; closes each Renewable; closes the stores.
//
// # Stream time
//
// Each task that writes an input is an origin ([Origin]), and the other inputs are one origin together. The owner tells
// how far an upstream task has come (Tell). If the records of an operator come from more than one origin, its clock is
// the minimum of how far these have come (watermark.go, docs/decisions/0019-watermarks.md), and otherwise the largest
// timestamp.
//
// # Invariants
//
//   - EN1: Parts are registered while the task is wired, and never later. Parts of one kind are in the order of the
//     wiring: downstream before upstream. Only the alarms of the clocks that go on in pauses are in the other
//     order, upstream first.
//   - EN2: A record costs nothing for parts that are not there: Process looks at two fields (what is broken, and whether
//     Preparers are done) and at an empty slice (the alarms of stream time).
//   - EN3: Time comes from outside: the wall clock from the owner, the stream time of the task from records. Stream times
//     of operators come from records too, and from the idle time that the owner tells if [Program] says so. The task starts no
//     goroutine, and only the Executor does.
//   - EN4: The position of an error or a drop is the input record, or the punctuation, that is processed. A result of a
//     call counts as a part of the record that it was made for.
//   - EN5: The task never writes again to memory that it has handed to the Sink.
//   - EN6: If a function of the user got an error while it read state, the failure is never attributed to the record,
//     whatever the function returned.
//   - EN7: After Rollback stores and times are as they were when the last batch was committed, no Holder holds anything,
//     and each Renewable is new. If one could not be made again, Process, AdvanceWallClock and AdvanceIdle return its error.
//
// The package does no I/O, reads no clock, starts no goroutine and uses no random numbers.
package engine

// Files refer to files below them, and none refers up (make structure REFS=topology/engine). From the top:
//
//	commit.go, task.go, program.go               what the owner calls, and what the task runs
//	prepare.go, idle.go, clock.go                work on old rows, clocks in pauses, clocks
//	call.go, alarm.go, output.go, fault.go       what runs, what is sent, and which record an error belongs to
//	host.go                                      what the operators see of the task: it has all parts
//	config.go, executor.go, parts.go, times.go,  need nothing of the task
//	arena.go, record.go, errors.go
