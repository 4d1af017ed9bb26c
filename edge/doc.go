// Package edge is the HTTP side of a stream processing application: it turns commands into events, and answers queries
// from views. docs/commands-and-queries.md shows it from a client's side.
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
// answers are one transaction. No command is acknowledged before its transaction is committed.
//
// Two more topics have as many partitions as the event topic: <name>-<aggregate>-state is the changelog of states and
// answers, and in <name>-<aggregate>-owners an owner writes its claim before it fences the previous owner. A fenced
// owner that finds the claim of another instance there steps down for good.
//
//   - E1: answers are true. A positive answer means that the events are committed. An error means that they are not and
//     never will be, with one exception: when the owner cannot know, the answer is 503 with "outcome": "unknown".
//   - E2: the commit is the proof. A new answer that depends on state, also a rejection, is given only after a commit. The
//     commit proves that no other owner had taken over when the answer was decided. A fenced owner acknowledges
//     nothing. Three answers need no commit: one that is repeated for its Idempotency-Key and the refusal of a key that
//     another command has used, because stored answers are committed and never change, and an error that says that the
//     command could not be decided.
//   - E3: Kafka first. State reaches the local store only after Kafka has confirmed the transaction that changed it, and
//     together with the changelog offset. The changelog alone is enough to rebuild the store.
//   - E4: once for each key. A command with an Idempotency-Key is executed once within the window. Its answer is stored
//     in the transaction of its events and repeated byte for byte. A key belongs to one aggregate and stands for one
//     method, path and body; a client that makes a new decision, for example after 412, makes a new key.
//   - E5: linear histories. An aggregate is in one partition, and a partition has one owner at a time, which has seen every
//     event that was ever acknowledged.
//
// # Queries
//
// The answer to a command has a Consistency-Token. A query that sends it waits until its views reflect the offsets in
// the token. It waits as long as its Prefer: wait says, at most Config.MaxWait, and without Prefer as long as
// Config.DefaultWait (2 s unless set). If the views are still behind, the answer is 503. With Prefer: handling=lenient
// it has older data instead. The answer has a token that covers everything that the query saw. So a client that always
// sends its last token and never handling=lenient never sees time run backwards, whichever edge it asks.
//
// # Errors
//
// Every error is a problem document (RFC 9457). See [Problem].
//
// # Files
//
//   - server, serverowners, config, routes, middleware, exchange, health, metrics: the server and every request
//   - problem, answer, negotiate, cursor: parts of requests and answers
//   - aggregateoptions, command, commandanswer, commandproblems, precondition, idempotency: commands as HTTP
//   - owner, ownerqueue, ownerset: the goroutine that decides; decide, cloudevent, transaction: how it decides and
//     commits
//   - takeover, restore, ledger, ownerrows: how it becomes the owner, and what it keeps in Kafka and on disk
//   - query, queryrequest, queryanswer, consistencytoken: queries
//
// # Clients are trusted
//
// The edge does not authenticate clients: serve it on a loopback address, or through a proxy that authenticates.
package edge
