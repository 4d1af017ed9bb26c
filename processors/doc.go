// Package processors runs a topology: it is the runtime that turns the pure graph of package topology into goka
// processor groups that consume, keep state and commit, exactly once.
//
//	app, err := processors.New(top, processors.Config{Brokers: []string{"127.0.0.1:9092"}, Dir: "state"})
//	err = app.Run(ctx)
//
// # From topology to tasks
//
// Each sub-topology is a processor group, a Kafka consumer group of the same name. A group has as many tasks as its
// inputs have partitions; the group decides which instance should run which. A task is one sub-topology on one
// partition, touched by one goroutine at a time:
//
//	membership ──assigned──▶ task: life after life
//	                          │
//	                          ▼
//	   take over ──▶ restore ──▶ work ⇄ commit ──▶ … ──error──▶ take over
//	   (fence,        (goka recovers    (inputs merged by
//	    offsets)       the table)        timestamp, through goka
//	                                     into the topology)
//
// # Invariants
//
//   - P1: the fence decides. Membership says who should work on a partition; whoever holds the partition's transactional
//     id is the only one who can commit for it. Offsets and watermarks are read after the takeover, never before.
//   - P2: one transaction holds everything a commit means: outputs, changelog rows, marks, the position record and the
//     input offsets.
//   - P3: nothing reaches the engine before Kafka has confirmed the transaction, and the changelog offset is in the same
//     batch as the rows. So local state is never ahead of the changelog and never has to be wiped.
//   - P4: any failure of a commit, also one whose outcome is unknown, ends the life: what is not committed is dropped and
//     the next takeover settles what was left open. Nothing is guessed. A record that fails before the commit takes the
//     task back to its last commit in place, behind a fence as well.
//
// # Positions and marks
//
// With each commit a task writes which input offsets its state reflects. Through repartition topics it also passes marks
// on, so that a task, and every view of it, knows which offsets of topics it never reads itself are reflected: that is
// how a query waits for a command's events whatever lies between (docs/formats.md). A mark in a topic tells of the inputs
// that lead to it, and is written only if it has something new to tell: so sub-topologies may read what each other writes.
//
// # Failures
//
// Records that fail are retried, skipped or stop the application, as the policies of the topology say; a record that is
// skipped leaves no trace, and all others count once. Failures of brokers and disks are retried for ever (docs/failures.md).
// By default nothing is skipped: after Config.ProcessingRetries failures on the same record, Run returns the error.
package processors
