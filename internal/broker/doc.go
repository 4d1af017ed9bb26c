// Package broker is everything millrace knows about Kafka as a server: how to
// reach one, which topics it must have, how to own a partition so that a stale
// owner can do no harm, and how to be a broker where there is none. It is the
// only package that imports sarama, and it hides from goka that its clients
// are franz-go.
//
// # Reaching a cluster
//
// [Connect] returns a [Client] or says why not: nobody there, or somebody who
// advertises an address that cannot be reached. [Client.EnsureTopics] creates
// the topics that are missing and verifies the others against their
// [TopicSpec], and reports everything that is wrong at once, before a record
// is processed. Other parts of a program make clients of their own from
// [Client.Options].
//
// # Owning a partition
//
// [TakeOver] returns a [Writer], the fenced transactional writer that a task
// or a command owner holds, and [Restore] reads what the owners before it have
// committed. The order of the steps is what makes it safe; it is told there.
//
// # Being a broker
//
// [StartEmbedded] runs kfake, the fake broker of franz-go, with a data
// directory. kfake was made for tests, and in a few places a crash would cost
// it the guarantees that a program with exactly-once processing lives on.
// These are mended from outside, through the protocol and the points of
// control that kfake offers:
//
//	the directory               what it is for
//	dir/lock                    one process at a time
//	dir/kafka/                  the data of kfake: logs, offsets, producer ids
//	dir/transaction             the commit that is under way, see journal
//	dir/checkpoint.json         ended in order?, and up to where logs are settled
//
//	the start
//	1. lock the directory, take the port; clients that come now wait, see gate
//	2. ended in order: go to 6
//	3. drop what kfake concluded from its logs in earlier runs; complete indexes
//	4. start kfake behind the closed gate and repair: end all transactions that
//	   are open at the end of a partition, set the offsets of the one whose
//	   commit had begun, fence all transactional ids, see repair
//	5. if a log was changed: end kfake, drop its conclusions again, start it
//	6. take back "ended in order", open the gate
//
// Every step can be interrupted by the next crash: the directory counts as
// crashed until the end in order says otherwise, and repairing a repaired log
// changes nothing.
package broker
