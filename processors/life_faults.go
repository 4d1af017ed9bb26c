package processors

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/state/pebblestore"
	"github.com/seed84377926/millrace/topology"
)

// recordFault is a failure that an input record is to blame for, or a punctuation, and not a broker or a disk.
type recordFault struct {
	kind    FailureKind
	node    string      // where it failed: an operator, or the topic that the output was for
	record  *kgo.Record // nil if it was a punctuation
	id      recordID
	err     error
	verdict verdict
}

// verdict is what the policy says about one failure of a record.
type verdict uint8

const (
	tryAgain verdict = iota
	skipRecord
	giveUp
)

// Error names the record, the cause and, at the end of the road, what to do.
func (f *recordFault) Error() string {
	text := f.err.Error() // that of a punctuation says all
	if f.record != nil {
		verb := "process"
		if f.kind == FailedProduce {
			verb = "outputs of"
		}
		text = fmt.Sprintf("%s %s/%d offset %d: %v", verb, f.record.Topic, f.record.Partition, f.record.Offset, f.err)
	}
	if f.verdict == giveUp {
		text += "; " + f.remedy()
	}
	return text
}

func (f *recordFault) Unwrap() error { return f.err }

func (f *recordFault) remedy() string {
	switch f.kind {
	case UndecodableRecord:
		return "correct the codec, or let the topology pass over such records with topology.OnUndecodable"
	case FailedProcessing:
		return "correct the function or codec, or let the topology pass over such records with topology.OnProcessingFailure"
	case FailedProduce:
		return "or let the topology pass over such records with topology.OnProduceFailure"
	default:
		return ""
	}
}

// newRecordFault makes a fault of an error of topology.Task, if the record is to blame, or a punctuation.
func newRecordFault(record *kgo.Record, err error) (*recordFault, bool) {
	if failed, ok := errors.AsType[*topology.PunctuationError](err); ok {
		return &recordFault{kind: FailedProcessing, node: failed.Failed, id: punctuationID(failed.Punctuation), err: err}, true
	}
	if record == nil {
		return nil, false
	}
	f := &recordFault{record: record, id: idOf(record), err: err}
	if decode, ok := errors.AsType[*topology.DecodeError](err); ok {
		f.kind, f.node = UndecodableRecord, decode.Node
		return f, true
	}
	if failed, ok := errors.AsType[*topology.RecordError](err); ok {
		f.kind, f.node = FailedProcessing, failed.Node
		return f, true
	}
	if routed, ok := errors.AsType[*topology.RouteError](err); ok && broker.TopicUnusable(err) {
		f.kind, f.node = FailedProduce, routed.To
		return f, true
	}
	return nil, false
}

// isRecordsFault says whether a record, or what the operators make of it, is to blame, and not a broker or a disk.
func isRecordsFault(err error) bool {
	_, is := errors.AsType[*recordFault](err)
	return is
}

// trouble is what a task remembers of the input records that it failed on, until what it decided about them is committed:
// after a rollback the same records come again, also in another life. Like the life it belongs to one goroutine at a time.
type trouble struct {
	records map[recordID]*failing
	// search narrows down which record a failure of a whole transaction comes from.
	search search
	// lasting counts, in a row, the failures that no record is to blame for and that do not pass by themselves: a topic does
	// not exist, or does not take a row of the runtime.
	lasting int
}

// recordID names an input record of a task, or a punctuation.
type recordID struct {
	topic  string
	offset int64

	punctuation topology.Punctuation
}

// failing is a record that failed, or a punctuation.
type failing struct {
	failures int
	backoff  retryBackoff
	skipped  *Skipped // nil while it is tried again
	reached  bool     // of a punctuation: it came again, so that the next commit settles it
}

func idOf(rec *kgo.Record) recordID { return recordID{topic: rec.Topic, offset: rec.Offset} }

func punctuationID(p topology.Punctuation) recordID { return recordID{punctuation: p} }

func (id recordID) isPunctuation() bool { return id.punctuation.Node != "" }

// passesOver says whether a punctuation that is due is passed over, since it has failed.
func (tr *trouble) passesOver(p topology.Punctuation) bool {
	r := tr.records[punctuationID(p)]
	if r == nil {
		return false
	}
	r.reached = true
	return r.skipped != nil
}

// skips says whether the record is passed over.
func (tr *trouble) skips(rec *kgo.Record) bool {
	r := tr.records[idOf(rec)]
	return r != nil && r.skipped != nil
}

// blame decides what the policy of the topology says about a failure, and remembers it.
func (t *task) blame(f *recordFault) {
	policy, attempts := t.policy(f.kind)
	if t.trouble.records == nil {
		t.trouble.records = make(map[recordID]*failing)
	}
	r := t.trouble.records[f.id]
	if r == nil {
		r = &failing{}
		t.trouble.records[f.id] = r
	}
	_, unavailable := errors.AsType[*topology.UnavailableError](f.err)
	if !unavailable {
		r.failures++
	}
	switch {
	case unavailable:
		f.verdict = tryAgain
	case r.failures <= attempts:
		f.verdict = tryAgain
	case policy.Skips():
		f.verdict = skipRecord
		r.skipped = newSkipped(t.plan.sub.Group(), t.partition, f)
		if f.record == nil {
			t.logger.Warn("punctuation skipped", slog.String("node", f.node), slog.Any("error", f.err))
			break
		}
		t.logger.Warn("record skipped",
			slog.String("topic", f.record.Topic), slog.Int64("offset", f.record.Offset), slog.String("node", f.node),
			slog.String("reason", f.kind.String()), slog.Any("error", f.err))
	default:
		f.verdict = giveUp
	}
}

func (t *task) policy(kind FailureKind) (policy topology.Policy, attempts int) {
	all := t.group.app.top.Policies()
	switch kind {
	case UndecodableRecord:
		policy = all.Undecodable
	case FailedProcessing:
		policy = all.Processing
	case FailedProduce:
		policy = all.Producing
	}
	attempts, given := policy.Attempts()
	if !given {
		attempts = t.group.app.cfg.ProcessingRetries
	}
	return policy, attempts
}

// passed forgets the records below the positions, which are committed, and tells of those that were skipped.
func (t *task) passed(all []*input) {
	t.trouble.search.passed(all)
	if len(t.trouble.records) == 0 {
		return
	}
	var skipped []*Skipped
	for _, in := range all {
		for id, r := range t.trouble.records {
			if id.topic != in.topic || id.offset >= in.from {
				continue
			}
			delete(t.trouble.records, id)
			if r.skipped != nil {
				skipped = append(skipped, r.skipped)
			}
		}
	}
	for id, r := range t.trouble.records {
		if !id.isPunctuation() || !r.reached {
			continue
		}
		delete(t.trouble.records, id)
		if r.skipped != nil {
			skipped = append(skipped, r.skipped)
		}
	}
	slices.SortFunc(skipped, func(a, b *Skipped) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Record.Offset, b.Record.Offset))
	})
	for _, s := range skipped {
		t.stats.drop("skipped-" + s.Kind.String())
		if hook := t.group.app.cfg.Hooks.Skipped; hook != nil {
			hook(*s)
		}
	}
}

// hopeless says whether a life that ended with err is the last one: a person must do something.
func (t *task) hopeless(err error) bool {
	if f, ok := errors.AsType[*recordFault](err); ok {
		return f.verdict == giveUp
	}
	refusal, refused := errors.AsType[*broker.ProduceError](err)
	if errors.Is(err, broker.ErrTopicMissing) || refused && refusal.Lasting() && !refusal.OfTopic() {
		t.group.app.topics.hurry() // it may be one that matches a source, and need not exist
		t.trouble.lasting++
		return t.trouble.lasting > t.group.app.cfg.ProcessingRetries
	}
	var inconsistent *inconsistentError
	return errors.As(err, &inconsistent) || errors.Is(err, broker.ErrOffsetLost) || errors.Is(err, broker.ErrTimeoutRefused) ||
		errors.Is(err, errNoStart) ||
		errors.Is(err, pebblestore.ErrForeign)
}
