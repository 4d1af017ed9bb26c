// Package processors runs a topology: it is the runtime that turns the pure graph of package topology into goka
// processor groups that consume, keep state and commit: exactly once, or at least once if Config.Guarantee says so
// ([AtLeastOnce]).
//
//	app, err := processors.New(top, processors.Config{Brokers: []string{"127.0.0.1:9092"}, Dir: "state"})
//	err = app.Run(ctx)
//
// # From topology to tasks
//
// Each sub-topology is a processor group, a Kafka consumer group of the same name. A group has as many tasks as the
// largest of its inputs has partitions; the group decides which instance runs which task. A task is one sub-topology on
// one partition, touched by one goroutine at a time:
//
//	membership ──assigned──▶ task: life after life
//	                          │
//	                          ▼
//	   take over ──▶ restore ──▶ work ⇄ commit ──▶ … ──error──▶ take over
//	   (fence,        (goka recovers    (inputs merged by
//	    offsets)       the table)        timestamp, through goka
//	                                     into the topology)
//
// An App owns its groups (group), a group its tasks (task) and copies (standby), and a task its life (life). What all
// of them use of the App is in one struct, instance. The life has everything that happens to records, from the takeover
// to the commit or the rollback. What observes is apart from it: the files observe_*.go, and package
// processors/internal/observe, whose instruments know nothing of tasks.
//
// # Invariants
//
// The first six invariants of ARCHITECTURE.md are about a task's life:
//
//   - I1, the fence. Membership says which instance should work on a partition; only the holder of the partition's
//     transactional id can commit for it. Offsets and watermarks are read after the takeover, never before.
//   - I2, one transaction. It holds everything that a commit means: outputs, changelog rows, marks, the position record
//     and the input offsets. At least once has no transaction: the same things are written in the same order.
//   - I3, Kafka first. Nothing reaches the engine of the state (pebble) before Kafka has confirmed the transaction, and the
//     changelog offset is in the same batch as the rows. So local state is never ahead of the changelog, and no failure
//     of a commit wipes it. A partition's state is dropped only if it is damaged (group_damage.go), if the changelog no
//     longer has what a copy needs next (group_standby.go), or if this instance no longer needs it
//     (group_leftovers.go).
//   - I4, nothing is guessed. Any failure of a commit, also one whose outcome is unknown, ends the life: what is not
//     committed is dropped, and the next takeover settles what was left open. If a record fails before the commit, the
//     task rolls back in place to its last commit, and fences first if it has sent anything.
//   - I5, one goroutine. A task, its stores and its writer are touched by one goroutine at a time: goka's goroutine and
//     the goroutine of the task alternate.
//   - I6, positions. The position record is the last row of its commit. No position goes back.
//
// Programs that are built with the tag "invariants" check I3, I5 and I6 as they run (life_checks.go).
//
// # Order of records
//
// A task merges its input partitions by timestamp, by the rules of Kafka Streams (docs/semantics.md). Offset order
// within a partition never changes.
//
// # Positions and marks
//
// With each commit a task writes which input offsets its state reflects. It also passes marks on through repartition
// topics. They tell a task, and every view of it, which offsets are reflected of topics that the task never reads
// itself. So a query can wait for a command's events, however many sub-topologies lie between (docs/formats.md). A mark
// in a topic covers the inputs that lead to the topic, and is written only if it has changed. So two sub-topologies may
// read each other's output.
//
// A mark also tells how far its task has come in stream time. Downstream of several tasks the slowest tells the time,
// so no record is late because another was read faster (docs/decisions/0019-watermarks.md). A task that has nothing to
// read says so (life_quiet.go), and is doubted when its sources have more (life_upstream.go, group_sourceends.go). With
// Config.AlignWithin fast tasks wait for slow ones (group_alignment.go).
//
// # Failures
//
// Records that fail are retried, skipped or stop the application, as the policies of the topology say; a skipped record
// leaves no trace, and all others count once. Failures of brokers and disks are retried for ever (docs/failures.md). By
// default nothing is skipped: a record that fails is tried again Config.ProcessingRetries times, and if it still fails,
// Run returns the error. A failure with a [topology.UnavailableError] does not count: it is tried again for ever.
//
// # Beside the tasks
//
//   - Global tables (globals.go, globaltable.go): each instance has a copy of the whole topic. No group is joined before
//     every copy has reached the end that its topic had.
//   - Matching topics (matching_*.go): when other topics match a pattern, the tasks end with a commit and begin again with
//     the new inputs.
//   - Admission (admission.go): no task works before the topology of this program is accepted and recorded.
//   - Pause (app_pause.go): tasks of a paused group commit what is open and wait. They keep their places.
//   - Handover (group_handover.go): an instance that ends lets the other members take its tasks over while it still works.
package processors
