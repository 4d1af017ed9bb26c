// Package views reads what processors project: typed, from a full local copy, as fresh as asked for.
//
//	vs, err := views.Open(ctx, views.Config{Brokers: brokers, Dir: "views"}, table)
//	flights, err := views.KeyValue(vs, "flights", codecs.String, codecs.JSON[Flight]())
//	go vs.Run(ctx)
//	flight, ok, err := flights.Get(ctx, "2013-01-15.UA.1545.EWR")
//
// A view is a goka view over the table of a processor group: every partition, followed read_committed, so that only
// committed state is ever seen. It is kept in pebble and goes on where it was after a restart.
//
// # Freshness
//
// Each commit of a task ends with a position record: which input offsets its state reflects, also through repartition
// topics. A view applies the rows of a commit before or with its position, so that once the position covers an offset,
// every effect of the records below it is there to be read. [Views.Wait] and the Wait of each typed view block until
// a set of offsets, such as the token a command answered with, is covered.
//
// Reads of one partition are consistent snapshots; a range over several partitions is one snapshot each.
package views
