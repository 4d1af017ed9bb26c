// Package views reads the stores of processor groups: typed, from a full local copy, as fresh as the caller asks.
//
//	vs, err := views.Open(ctx, views.Config{Brokers: brokers, Dir: "views"}, table)
//	flights, err := views.KeyValue(vs, "flights", codecs.String, codecs.JSON[Flight]())
//	go vs.Run(ctx)
//	flight, ok, err := flights.Get(ctx, "2013-01-15.UA.1545.EWR")
//
// A view is a goka view over the table of a processor group. It has every partition, is kept in pebble, and continues
// where it ended after a restart. Its first fill takes as long as its table is large: [Views.Ready] is closed when
// every view has reached the end that its table had when Run began. Reads before that see the rows that are there,
// which an earlier run left or which have come since. A partition that is found damaged on disk is dropped and read
// again (package internal/localcopy).
//
//	group's table ──▶ goka ──▶ viewTable (one for each partition) ──▶ typed views ──▶ callers
//	                               │ position records                      ▲
//	                               └──────────▶ freshness ─────────────────┘ Wait, Position
//
// # Freshness
//
// Each commit of a task ends with a position record, which says which input offsets the task's state reflects, also
// through repartition topics. [Views.Wait] and the Wait of each typed view block until a set of offsets is covered,
// such as the token that a command answered with.
//
// # Invariants
//
//   - V1: committed state only. Tables are read read_committed.
//   - V2: rows before position. The rows of a commit are applied before its position, or with it. Once the position
//     covers an offset, every effect of the records below that offset can be read.
//   - V3: never some of the rows because of damage. While a damaged partition is read again, every read that needs it
//     returns [ErrRebuilding]. Its position is empty from the drop until a position record is read again. If the damage
//     is found when the view is opened, reads are not refused; Ready covers this fill, too.
//   - V4: one snapshot for each partition. A read of one partition sees one moment; a range over several partitions sees
//     one moment of each.
package views
