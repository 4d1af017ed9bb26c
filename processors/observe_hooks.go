package processors

import (
	"github.com/seed84377926/millrace/topology"
)

// FailureKind says what failed about a record.
type FailureKind uint8

// The kinds of failure, one for each policy of a topology.
const (
	UndecodableRecord FailureKind = iota + 1 // topology.Policies.Undecodable
	FailedProcessing                         // topology.Policies.Processing
	FailedProduce                            // topology.Policies.Producing
)

// String returns the kind in lower case, as it appears in logs and metrics.
func (k FailureKind) String() string {
	switch k {
	case UndecodableRecord:
		return "undecodable"
	case FailedProcessing:
		return "processing"
	case FailedProduce:
		return "producing"
	default:
		return "unknown"
	}
}

// Skipped is an input record, or a punctuation, that was passed over because the policy of the topology says so.
type Skipped struct {
	Group string
	// Topic is that of the record, "" if it was a punctuation: Err says which one ([topology.PunctuationError]).
	Topic     string
	Partition int32
	Kind      FailureKind
	// Node is where it failed: an operator as Topology.Describe shows it, or the topic or store that its output was for.
	Node string
	// Record is the record as it was read, with its offset. Its slices must not be modified.
	Record topology.RawRecord
	// Err is the last failure.
	Err error
}

func newSkipped(group string, partition int32, f *recordFault) *Skipped {
	s := &Skipped{Group: group, Partition: partition, Kind: f.kind, Node: f.node, Err: f.err}
	if f.record != nil {
		s.Topic, s.Record = f.record.Topic, rawRecord(f.record)
	}
	return s
}

// JoinHooks returns hooks that call all of the given ones, in their order: an application may have several listeners.
func JoinHooks(all ...Hooks) Hooks {
	var joined Hooks
	for _, h := range all {
		joined.StateChanged = both2(joined.StateChanged, h.StateChanged)
		joined.TaskFailed = both4(joined.TaskFailed, h.TaskFailed)
		joined.RestoreProgress = both1(joined.RestoreProgress, h.RestoreProgress)
		joined.StateDamaged = both3(joined.StateDamaged, h.StateDamaged)
		joined.Dropped = both2(joined.Dropped, h.Dropped)
		joined.InputsChanged = both3(joined.InputsChanged, h.InputsChanged)
		joined.Skipped = both1(joined.Skipped, h.Skipped)
	}
	return joined
}

func both1[A any](f, g func(A)) func(A) {
	if f == nil || g == nil {
		return either(f, g, f == nil)
	}
	return func(a A) { f(a); g(a) }
}

func both2[A, B any](f, g func(A, B)) func(A, B) {
	if f == nil || g == nil {
		return either(f, g, f == nil)
	}
	return func(a A, b B) { f(a, b); g(a, b) }
}

func both3[A, B, C any](f, g func(A, B, C)) func(A, B, C) {
	if f == nil || g == nil {
		return either(f, g, f == nil)
	}
	return func(a A, b B, c C) { f(a, b, c); g(a, b, c) }
}

func both4[A, B, C, D any](f, g func(A, B, C, D)) func(A, B, C, D) {
	if f == nil || g == nil {
		return either(f, g, f == nil)
	}
	return func(a A, b B, c C, d D) { f(a, b, c, d); g(a, b, c, d) }
}

func either[F any](f, g F, second bool) F {
	if second {
		return g
	}
	return f
}
