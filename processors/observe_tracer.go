package processors

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/topology/engine"
)

// Tracer makes spans of what tasks do; package telemetry has one for OpenTelemetry. Without one nothing is traced, and
// the cost is one nil check for each unit of records.
//
// Spans nest: a transaction holds the units of records that were processed and the commit. The processing of a single
// record is a span of its own in the trace of the record's producer, and only if that trace is sampled.
//
// A Tracer is used by all tasks at once; a Span by one goroutine at a time. Neither may block.
type Tracer interface {
	// Start begins the span of an operation, as a child of parent or, if that is nil, as the first of a trace.
	Start(op Operation, parent Span) Span
	// StartRecord begins the span of one input record, which is processed in unit. If the record carries no sampled
	// trace it returns nil. Otherwise it also returns the headers that the record, and all records derived from it,
	// carry through the topology: the record's own headers, with the span as the trace's context. The headers and
	// values of rec must not be modified.
	StartRecord(rec TracedRecord, unit Span) (Span, []engine.Header)
}

// Span is an operation under way.
type Span interface {
	// Count adds a number to the span; what is "records" or "rows".
	Count(what string, n int64)
	// End ends the span, as failed if err is not nil.
	End(err error)
}

// Operation is something that a task does and that takes time; OperationKind lists the kinds.
type Operation struct {
	Kind      OperationKind
	Group     string
	Partition int32
}

// OperationKind says what kind of operation an [Operation] is.
type OperationKind string

// The operations of a task.
const (
	// TraceTakeOver fences the previous owner and reads the committed offsets.
	TraceTakeOver OperationKind = "take over"
	// TraceRestore brings the local state up to the end of the changelog.
	TraceRestore OperationKind = "restore"
	// TraceTransaction lasts from the first record to the commit.
	TraceTransaction OperationKind = "transaction"
	// TraceProcess is one unit of records, in a transaction.
	TraceProcess OperationKind = "process"
	// TraceCommit is the end of a transaction.
	TraceCommit OperationKind = "commit"
)

// TracedRecord is an input record that is about to be processed.
type TracedRecord struct {
	Group     string
	Topic     string
	Partition int32
	Offset    int64
	Headers   []engine.Header
}

// spans are the spans that a task has open. Without a tracer all are nil and all methods do nothing.
type spans struct {
	tracer      Tracer
	group       string
	partition   int32
	phase       Span // taking over or restoring
	transaction Span
	unit        Span
}

func (s *spans) start(kind OperationKind, parent Span) Span {
	if s.tracer == nil {
		return nil
	}
	return s.tracer.Start(Operation{Kind: kind, Group: s.group, Partition: s.partition}, parent)
}

func endSpan(s *Span, err error) {
	if *s != nil {
		(*s).End(err)
		*s = nil
	}
}

// enter follows the task's states: the end of one state is the beginning of the next.
func (s *spans) enter(state taskState, restored int64) {
	if s.phase != nil && state == taskRunning {
		s.phase.Count("records", restored)
	}
	endSpan(&s.phase, nil)
	switch state {
	case taskTakingOver:
		s.phase = s.start(TraceTakeOver, nil)
	case taskRestoring:
		s.phase = s.start(TraceRestore, nil)
	default:
	}
}

// endFailed ends all open spans with the error.
func (s *spans) endFailed(err error) {
	endSpan(&s.phase, err)
	endSpan(&s.unit, err)
	endSpan(&s.transaction, err)
}

func (s *spans) beginUnit(records int) {
	if s.tracer != nil {
		s.unit = s.start(TraceProcess, s.transaction)
		s.unit.Count("records", int64(records))
	}
}

// record begins the span of a record whose trace is sampled, and sets the headers of raw so that its outputs carry the
// trace.
func (s *spans) record(rec *kgo.Record, raw *engine.RawRecord) Span {
	if len(raw.Headers) == 0 {
		return nil
	}
	span, headers := s.tracer.StartRecord(TracedRecord{
		Group: s.group, Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset, Headers: raw.Headers,
	}, s.unit)
	if span != nil {
		raw.Headers = headers
	}
	return span
}
