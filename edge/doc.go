// Package edge is the HTTP side of a stream processing application: commands come in and become events, queries read
// views.
//
//	            POST …/commands/{command}                        GET …
//	                     │                                          │
//	access log, ids, metrics, panics → problem+json     the same    │
//	                     │                                          ▼
//	                read, validate                        wait for the token's offsets
//	                     │ queue, one per partition                 │
//	                     ▼                                          ▼
//	       owner of the aggregate's partition                  QueryFunc ◀── views
//	 state ◀── decide, evolve ── fenced transaction ──▶ Kafka ──────────────────▲
//
// A [Server] serves aggregate types (package aggregates) and queries:
//
//	srv, err := edge.New(ctx, edge.Config{Name: "airport", Brokers: brokers, Dir: dir})
//	srv.Aggregate(flight, edge.AggregateOptions{Path: "/v1/flights/{id}", Topic: "airport.flight.events", Partitions: 4})
//	srv.Query("GET", "/v1/carriers/{code}/delays", delays, edge.QueryOptions{Views: []edge.View{byCarrier}})
//	err = srv.Run(ctx)
//
// # Commands
//
// Each partition of an aggregate's event topic has one owner: a goroutine with a fenced transactional writer. It
// decides on one command after the other, and commits many of them together: their events, the new states and the
// answers are one transaction. Nothing is answered before the transaction is committed.
//
// Beside the event topic there are two topics with as many partitions: <name>-<aggregate>-state, the changelog of
// states and answers, and <name>-<aggregate>-owners, where an owner says its name before it fences the one before it.
// A fenced owner that reads another name there steps down for good.
//
//   - E1: a positive answer means that the events are committed, and a definite error that they are not and never
//     will be. When the owner cannot know, the answer is 503 with "outcome": "unknown".
//   - E2: answers that depend on state, rejections included, are given only after a commit that proves that nobody
//     had taken over when they were decided. A fenced owner acknowledges nothing.
//   - E3: state reaches the local store only after Kafka has confirmed the transaction that changed it, together with
//     the changelog offset; the changelog alone is enough to rebuild it.
//   - E4: a command with an Idempotency-Key is executed once within the window. Its answer is stored in the
//     transaction of its events and repeated byte for byte. The key stands for aggregate, path and body; a client that
//     decides anew, say after 412, makes a new key.
//   - E5: one aggregate is in one partition, and one partition has one owner at a time, who sees every event that was
//     ever acknowledged: the history of each aggregate is linear.
//
// # Queries
//
// A command's answer carries a Consistency-Token. A query that sends it back waits, as long as its Prefer: wait allows,
// until the views it reads reflect what the token stands for; its own answer carries a token that covers what it saw, so
// that a client that always sends the last token never sees time run backwards, whichever edge it asks.
//
// # Errors
//
// Every error is a problem document (RFC 9457). See [Problem].
//
// Authentication is not done here yet: put the edge behind something that does it, or on a loopback address.
package edge
