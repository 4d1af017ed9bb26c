// Package broker contains what millrace knows about Kafka as a server: how to reach it, which topics it must have, how
// to read and follow partitions, how a group assigns them, and how to own a partition so that a stale owner can do no
// harm. It is the only package that imports sarama, and it hides from goka that its clients are franz-go.
//
// # Reaching a cluster
//
// [Connect] returns a [Client] or the reason why it cannot: no broker answers, a broker advertises an address that
// cannot be reached, or one side does not trust the other (remedies.go). [Client.EnsureTopics] creates the topics that
// are missing and verifies the others against their [TopicSpec]; it reports everything that is wrong at once, before a
// record is processed. Other parts of a program make clients of their own from [Client.Options].
//
// # Reading
//
// A [Fetcher] reads any number of partitions over one client, each as a [Feed], within a [FetchBudget]. The tables of
// groups are read in bulk: a gatherer merges the records of a feed into a [Run], which has the last record of each key.
// A Run goes to goka's recovery (gokareader.go), to a [TableView] or to a copy that is kept warm ([Fetcher.Follow]).
// [Restore] does not merge: an owner without goka gets all records of each fetch (changelog.go).
//
// # Sharing partitions
//
// [JoinGroup] makes this instance a [Member] of a consumer group. Members tell the leader which state they have, and
// internal/assignment decides which member gets which partition (balancer.go). A [GroupTask] is goka's processor for
// one task, and its [Sessions] opens one session after the other (gokatask.go).
//
// # Owning a partition
//
// [TakeOver] returns a [Writer], the fenced transactional writer of a task or a command owner. The order of a takeover
// is I1 of ARCHITECTURE.md: TakeOver, then the committed offsets, then the high watermark and the restore up to it.
// With a [Membership] the same Writer works at least once, without transactions (atleastonce.go).
//
// [Writer.Record] takes records from a pool, and a record returns to it when the broker has acknowledged it or refused
// it (recordpool.go). A [ProduceError] is a record that the broker refused, with the input record that it came from.
//
//   - W1: one goroutine at a time uses a Writer. Only [Writer.Interrupt] may be called from anywhere, and
//     acknowledgements come on other goroutines. This is the part of I5 that concerns writers.
//   - W2: a Writer is finished after any error of a transaction. Its owner closes it; only a takeover settles what was
//     open.
//   - W3: an owner never ends a transaction with records by an abort. The next takeover or the transaction timeout aborts
//     it. [Writer.Discard] ends only transactions without records.
//
// # Metrics
//
// [ClientMetrics] counts the traffic of a Client and of all clients that are made from its Options.
package broker
