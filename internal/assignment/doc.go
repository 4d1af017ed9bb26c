// Package assignment decides which member of a group gets which tasks: the active one, the standbys and the warm-ups of
// each partition. It is a pure function of what the members tell; the protocol by which they tell it and learn the
// result is in internal/broker.
//
// The target is that all members have the same number of active tasks, within one, and that as few as possible move. As
// in Kafka Streams (KIP-441), a task stays where its state is until the target has caught up with it (a warm-up), and a
// task whose owner is gone goes to the member that has most of its state. A member that is leaving keeps its tasks
// while others warm up, and gets no new ones.
//
// Unlike in Kafka Streams, a task moves in one step: the plan that takes it from the old owner gives it to the new one.
// The fence of the partition makes that safe (docs/decisions/0005-tasks-move-in-one-step.md). So a task stands still
// for a takeover, not for a second rebalance.
//
// Invariants of every result:
//
//   - AS1: each partition is active at exactly one member.
//   - AS2: no member has two copies of a partition, in whatever role.
//   - AS3: the same members and rules give the same result, in whatever order the members come.
package assignment
