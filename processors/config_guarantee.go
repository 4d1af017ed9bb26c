package processors

import "fmt"

// Guarantee is what an application promises when processes, brokers or disks fail.
type Guarantee uint8

const (
	// ExactlyOnce is the default: every input record counts once in every output, table and view. Each commit is a
	// transaction: readers of the outputs must read committed, and see them once per [Config.CommitInterval].
	ExactlyOnce Guarantee = iota

	// AtLeastOnce loses no input record, but one that was processed shortly before a failure may count again in outputs
	// and tables. There are no transactions, so that outputs are visible at once and a commit costs the brokers less.
	// Offsets are committed in the name of the group's member, and a commit begins only after the group has confirmed
	// it (docs/decisions/0008-at-least-once.md says what can still go wrong).
	//
	// The guarantee may be changed from one run of an application to the next, in both directions. While instances of
	// both kinds run, the weaker one holds.
	AtLeastOnce
)

// String returns the name of the guarantee in Kafka Streams' processing.guarantee, without the version.
func (g Guarantee) String() string {
	switch g {
	case ExactlyOnce:
		return "exactly_once"
	case AtLeastOnce:
		return "at_least_once"
	default:
		return fmt.Sprintf("guarantee %d", uint8(g))
	}
}
