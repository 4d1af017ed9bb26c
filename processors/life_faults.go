package processors

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
)

// recordFault is a failure that is attributed to an input record or a punctuation, and not to a broker or a disk.
type recordFault struct {
	kind    FailureKind
	node    string      // where it failed: an operator, or the topic of the output
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

// Error names the record and the cause and, if the task gives up, what to do.
func (f *recordFault) Error() string {
	text := f.err.Error() // the error of a punctuation says all
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
	case RecordAhead:
		return "correct the time of the record; if it is right, set the clock of this machine, or raise Config.MaxTimeAhead; " +
			"or let the topology pass over such records with topology.OnTimeAhead"
	case FailedProduce:
		return "or let the topology pass over such records with topology.OnProduceFailure"
	default:
		return ""
	}
}

// newRecordFault turns an error of the operators into a fault, if the record or a punctuation caused it.
func newRecordFault(record *kgo.Record, err error) (*recordFault, bool) {
	if failed, ok := errors.AsType[*engine.PunctuationError](err); ok {
		return &recordFault{kind: FailedProcessing, node: failed.Failed, id: punctuationID(failed.Punctuation), err: err}, true
	}
	if record == nil {
		return nil, false
	}
	f := &recordFault{record: record, id: idOf(record), err: err}
	if decode, ok := errors.AsType[*engine.DecodeError](err); ok {
		f.kind, f.node = UndecodableRecord, decode.Node
		return f, true
	}
	if ahead, ok := errors.AsType[*engine.TimeError](err); ok {
		f.kind, f.node = RecordAhead, ahead.Node
		return f, true
	}
	if failed, ok := errors.AsType[*engine.RecordError](err); ok {
		f.kind, f.node = FailedProcessing, failed.Node
		return f, true
	}
	if routed, ok := errors.AsType[*engine.RouteError](err); ok && broker.TopicUnusable(err) {
		f.kind, f.node = FailedProduce, routed.To
		return f, true
	}
	return nil, false
}

// untouched says that no operator has seen the record.
func (f *recordFault) untouched() bool { return f.kind == UndecodableRecord || f.kind == RecordAhead }

// isRecordFault says whether an error is attributed to a record or a punctuation.
func isRecordFault(err error) bool {
	_, is := errors.AsType[*recordFault](err)
	return is
}

// faults are the input records and punctuations that a task failed on. They are kept until the decision about them is
// committed, because after a rollback the same records come again, perhaps in another life. Like the life they belong
// to one goroutine at a time.
type faults struct {
	records map[recordID]*failingRecord
	// bisection finds the record that makes a whole transaction fail.
	bisection bisection
	// lasting counts, in a row, the failures that no record causes and that do not pass by themselves: a topic does not
	// exist, or does not take a row of the runtime.
	lasting  int
	aheadLog aheadLog
}

// pending says whether records that failed, or a commit that failed, have yet to be settled.
func (fs *faults) pending() bool { return len(fs.records) > 0 || fs.bisection.limit > 0 }

// recordID names an input record of a task, or a punctuation.
type recordID struct {
	topic  string
	offset int64

	punctuation engine.Punctuation
}

// failingRecord is a record or a punctuation that failed.
type failingRecord struct {
	failures int
	backoff  retryBackoff
	skipped  *Skipped // nil while it is tried again
	reached  bool     // a punctuation came again, so that the next commit settles it
}

func idOf(rec *kgo.Record) recordID { return recordID{topic: rec.Topic, offset: rec.Offset} }

func punctuationID(p engine.Punctuation) recordID { return recordID{punctuation: p} }

func (id recordID) isPunctuation() bool { return id.punctuation.Node != "" }

// skipsPunctuation says whether a punctuation that is due is skipped, because it has failed.
func (fs *faults) skipsPunctuation(p engine.Punctuation) bool {
	r := fs.records[punctuationID(p)]
	if r == nil {
		return false
	}
	r.reached = true
	return r.skipped != nil
}

// skips says whether the record is skipped, because it has failed.
func (fs *faults) skips(rec *kgo.Record) bool {
	r := fs.records[idOf(rec)]
	return r != nil && r.skipped != nil
}

// classify turns an error that a record or a punctuation caused into a recordFault, and attributes it. Any other error
// stays as it is.
func (l *life) classify(err error) error {
	if err == nil {
		return nil
	}
	f, ok := newRecordFault(l.current, err)
	if !ok {
		return err
	}
	l.attribute(f)
	return f
}

// attribute applies the policy of the topology to a fault: it sets the verdict and remembers it with the record.
func (l *life) attribute(f *recordFault) {
	policy, attempts := l.policy(f.kind)
	if l.faults.records == nil {
		l.faults.records = make(map[recordID]*failingRecord)
	}
	r := l.faults.records[f.id]
	if r == nil {
		r = &failingRecord{}
		l.faults.records[f.id] = r
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
		r.skipped = newSkipped(l.plan.sub.Group(), l.partition, f)
		if f.record == nil {
			l.logger.Warn("punctuation skipped", slog.String("node", f.node), slog.Any("error", f.err))
			break
		}
		l.logSkipped(f)
	default:
		f.verdict = giveUp
	}
}

// aheadLogPause is the least time between two lines of the log about records that are skipped because of their times: a
// topic may have no others.
const aheadLogPause = 10 * time.Second

// logSkipped logs that a record is skipped.
func (l *life) logSkipped(f *recordFault) {
	attrs := []any{
		slog.String("topic", f.record.Topic), slog.Int64("offset", f.record.Offset), slog.String("node", f.node),
		slog.String("reason", f.kind.String()), slog.Any("error", f.err),
	}
	if f.kind == RecordAhead {
		now := time.Now()
		if now.Before(l.faults.aheadLog.next) {
			l.faults.aheadLog.omitted++
			return
		}
		attrs = append(attrs, slog.Int64("more", l.faults.aheadLog.omitted), slog.String("setting", "MaxTimeAhead"))
		l.faults.aheadLog = aheadLog{next: now.Add(aheadLogPause)}
	}
	l.logger.Warn("record skipped", attrs...)
}

// aheadLog is when the next line about a record that is skipped because of its time may be written, and how many
// records have had none since the last one.
type aheadLog struct {
	next    time.Time
	omitted int64
}

// policy returns the topology's policy for a kind of failure, and how often to retry before it applies.
func (l *life) policy(kind FailureKind) (policy topology.Policy, attempts int) {
	all := l.inst.top.Policies()
	switch kind {
	case UndecodableRecord:
		policy = all.Undecodable
	case RecordAhead:
		policy = all.TimeAhead
	case FailedProcessing:
		policy = all.Processing
	case FailedProduce:
		policy = all.Producing
	}
	attempts, given := policy.Attempts()
	if !given {
		attempts = l.inst.cfg.ProcessingRetries
	}
	return policy, attempts
}

// settleFaults forgets the records below the positions, which are committed, and reports those that were skipped.
func (l *life) settleFaults() {
	all := l.inputs.all
	l.faults.bisection.passed(all)
	if len(l.faults.records) == 0 {
		return
	}
	var skipped []*Skipped
	for id, r := range l.faults.records {
		if !id.settled(r, all) {
			continue
		}
		delete(l.faults.records, id)
		if r.skipped != nil {
			skipped = append(skipped, r.skipped)
		}
	}
	slices.SortFunc(skipped, func(a, b *Skipped) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Record.Offset, b.Record.Offset))
	})
	for _, s := range skipped {
		l.stats.live.drops.count(s.Node, "skipped-"+s.Kind.String())
		if hook := l.inst.cfg.Hooks.Skipped; hook != nil {
			hook(*s)
		}
	}
}

// settled says whether the commit that has ended contains the decision about the record or punctuation.
func (id recordID) settled(r *failingRecord, all []*input) bool {
	if id.isPunctuation() {
		return r.reached
	}
	return slices.ContainsFunc(all, func(in *input) bool { return in.topic == id.topic && id.offset < in.from })
}
