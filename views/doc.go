// Package views reads the stores of processor groups: typed, from a full local copy, as fresh as the caller asks.
//
//	vs, err := views.Open(ctx, views.Config{Brokers: brokers, Dir: "views"}, table)
//	flights, err := views.KeyValue(vs, "flights", codecs.String, codecs.JSON[Flight]())
//	go vs.Run(ctx)
//	flight, ok, err := flights.Get(ctx, "2013-01-15.UA.1545.EWR")
//
// A view is a goka view over the table of a processor group. It has every partition, is kept in pebble, and continues
// where it ended after a restart. A partition that is found damaged on disk is dropped and read again (package
// internal/localcopy).
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
//   - V3: all rows or none. A partition that is being read again answers [ErrRebuilding], and its position is empty.
//   - V4: one snapshot for each partition. A read of one partition sees one moment; a range over several partitions sees
//     one moment of each.
package views
