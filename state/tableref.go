package state

// TableRef says where the rows of one store can be read from outside. It is all that a view needs to know about the
// topology that writes them. A topology returns it and a view opens it; it can also be written by hand.
type TableRef struct {
	// Group is the processor group that writes the table.
	Group string
	// Topic is the compacted topic that holds the rows, together with the rows of the group's other stores.
	Topic string
	// Store describes the rows.
	Store Spec
	// Direct are the source topics whose records reach the store in the same task, so that the task's own input offsets
	// say what the store reflects. Sorted.
	Direct []string
	// Derived are the source topics whose records reach the store through at least one repartition topic. A topic may
	// be direct and derived. Sorted.
	Derived []string
	// DirectMatching and DerivedMatching are regular expressions: a topic whose whole name matches one is direct or
	// derived as well, whether or not it exists yet. Sorted.
	DirectMatching, DerivedMatching []string
}
