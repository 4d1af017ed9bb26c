// Package localcopy keeps a local copy of a topic that can be dropped and read again while the program runs.
//
// Views (package views) and global tables (package processors) are such copies: goka reads partitions of a topic and
// applies their rows, and many goroutines read the rows. Since the topic has every row, damaged files are no reason to
// stop: the [Copy] drops its rows, refuses readers, and lets goka read the topic from the beginning. If the engine
// refuses the drop, the copy stays as it is, and the next read that finds the damage tries again. A copy is either one
// partition of a topic, as in a view, or several partitions together, as in a global table. The user of a copy decides
// what the rows mean ([Contents]).
//
// # States
//
// Each partition of the topic that feeds a copy is a source. A source is in one of three states:
//
//	                damage                      Offset
//	following ────────────────▶ dropped ─────────────────▶ rereading
//	    ▲                          ▲                          │  │
//	    │                          └──────────────────────────┘  │
//	    │                                   damage               │
//	    └────────────────────────────────────────────────────────┘
//	                     Restore reaches the goal
//
//	            rows in the copy        Restore    channel of Restart
//	following   up to the offset, if    applies    open
//	            there is one
//	dropped     none                    refuses    closed
//	rereading   from the beginning up   applies    open
//	            to the offset, if any
//
// Readers are refused unless all sources are following. The goal of a source is the offset that it had when it was
// dropped: readers then see again all that they saw before. A source without an offset has no rows to lose: damage does
// not change its state.
//
// goka begins to read a source in two steps: it asks [Copy.Store] for the Offset and reads on from there, and then asks
// for the channel of [Copy.Restart]; when that is closed, it stops and begins again.
//
// # Invariants
//
//   - LC1: one batch. Rows are applied together with the offset that they reflect; a drop removes both.
//   - LC2: no gap. A run is applied only if it was read from the offset that the copy has now: between a drop and the
//     next Offset nothing is applied.
//   - LC3: a missing row is never taken for a deleted row. Readers are refused before the first row is dropped and
//     until every source has reached its goal again. A read that a drop overlaps is refused, too. The rule
//     does not cover a copy that is empty after Open, because it is new or because its rows were damaged or could not be
//     used. Its sources are following and have no goal, so readers miss rows until goka has reached the end of the
//     topic. Users of views wait for Ready. An application with global tables waits before it joins its groups.
//   - LC4: one drop for one damage. Several readers may find the same damage; those that began before the drop do not
//     cause another drop.
//
// # The race between Offset and Restart
//
// A drop can come between these two requests:
//
//  1. goka asks for the Offset of a source. It is 7, so goka will read from 8 on.
//  2. A reader finds damage. The copy drops its rows and closes the channel of Restart.
//  3. goka asks for the channel of Restart. If the drop had put a new channel in place of the closed one, goka would get
//     the new one, which nothing will close.
//  4. goka reads 8 and 9. Applied to the empty copy, they would make its offset 9, and the rows up to 7 would be missing
//     for good.
//
// So the closed channel stays in place until the next Offset, and in step 3 goka gets a channel that is closed already.
// A run that was read before it notices is refused (LC2).
package localcopy
