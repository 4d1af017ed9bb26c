// Package broker is everything millrace knows about Kafka as a server: how to
// reach one, which topics it must have, and how to own a partition so that a stale
// owner can do no harm. It is the
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
package broker
