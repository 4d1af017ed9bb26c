package processors

import (
	"time"

	"github.com/seed84377926/millrace/topology/engine"
)

// Hooks are called when something happens that a program may want to act on. Nil functions are skipped; JoinHooks joins
// several Hooks. The runtime's goroutines call them, some while they hold locks of the App: StateChanged under the lock
// of its state, and StateDamaged sometimes under the lock of a group's copies. So a hook must return soon and must not
// call methods of the App; it may hand over to a goroutine that does.
type Hooks struct {
	// StateChanged is called after each change of the application's state.
	StateChanged func(from, to State)
	// TaskFailed is called when an attempt of a task has ended with an error. The task tries again unless the error is
	// fatal.
	TaskFailed func(group string, partition int32, err error, fatal bool)
	// RestoreProgress is called while a task restores, after each batch that is written, and once more at the end.
	RestoreProgress func(RestoreProgress)
	// StateDamaged is called when files of the local state of a task are damaged or missing. The state is dropped and
	// restored from its changelog; nothing is lost, and no other task is affected. The disk may need attention.
	StateDamaged func(group string, partition int32, err error)
	// Dropped is called for each record that is dropped, with the reason. If the work is rolled back, the record is
	// processed and dropped again.
	Dropped func(group string, drop engine.Drop)
	// InputsChanged is called when a group on this instance goes on with other topics that match a source: see
	// topology.SourceMatching.
	InputsChanged func(group string, added, removed []string)
	// Skipped is called for each record that the policy of the topology skipped, after the commit. If the process dies
	// between the two, it is not called; the log has the record.
	Skipped func(Skipped)
}

// RestoreProgress is the progress of the restore of one task.
type RestoreProgress struct {
	Group     string `json:"group"`
	Partition int32  `json:"partition"`
	Start     int64  `json:"start"`     // first changelog offset that was missing locally
	Next      int64  `json:"next"`      // next offset to restore
	End       int64  `json:"end"`       // where the restore ends
	Remaining int64  `json:"remaining"` // offsets from Next to End; not all of them hold a record
	Records   int64  `json:"records"`   // changelog records read so far
	Rows      int64  `json:"rows"`      // rows written so far: only the last of many records of one key
	Bytes     int64  `json:"bytes"`     // keys and values of the records read so far
	Done      bool   `json:"done"`

	Elapsed time.Duration `json:"elapsed_ns"`         // since the restore began
	Rate    float64       `json:"records_per_second"` // Records over Elapsed
	ETA     time.Duration `json:"eta_ns"`             // estimated time for Remaining; 0 if not known yet
}

// FailureKind says how a record failed.
type FailureKind uint8

// The kinds of failure, one for each policy of a topology.
const (
	UndecodableRecord FailureKind = iota + 1 // topology.Policies.Undecodable
	FailedProcessing                         // topology.Policies.Processing
	FailedProduce                            // topology.Policies.Producing
	RecordAhead                              // topology.Policies.TimeAhead
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
	case RecordAhead:
		return "time-ahead"
	default:
		return "unknown"
	}
}

// Skipped is an input record or a punctuation that was skipped by the policy of the topology.
type Skipped struct {
	Group string
	// Topic is the topic of the record, "" for a punctuation: Err says which one ([engine.PunctuationError]).
	Topic     string
	Partition int32
	Kind      FailureKind
	// Node is where it failed: an operator as Topology.Describe shows it, or the topic or store of its output.
	Node string
	// Record is the record as it was read, with its offset. Its slices must not be modified.
	Record engine.RawRecord
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

// JoinHooks returns hooks that call all of the given hooks in order: an application may have several listeners.
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
