package processors

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/internal/fault"
	"github.com/seed84377926/millrace/state"
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
		r.skipped = newSkipped(t.group.plan.sub.Group(), t.partition, f)
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

// settled notes that everything up to here is committed.
func (t *task) settled() {
	l := t.life
	l.identity.written()
	l.inputs.committed()
	for _, in := range l.inputs.all {
		l.offsets[in.topic] = in.from
	}
	l.units, l.size = 0, commitSize{}
	if l.careful > 0 {
		l.careful--
	}
	t.trouble.search.succeeded()
	t.passed(l.inputs.all)
}

// carefulCommits is for how many commits after a failure a task commits each unit by itself. A record that fails then
// costs no more than the work of one unit, and what is read again is still in memory.
const carefulCommits = 64

// overcome deals with an error of the work under way. If a record is to blame, and is to be tried again or skipped, the
// task returns in place to the last commit and goes on; any other error ends the life.
//
// It is safe because nothing is guessed: see takeBack.
func (t *task) overcome(ctx context.Context, err error) error {
	f, ok := errors.AsType[*recordFault](err)
	if !ok || f.verdict == giveUp {
		return err
	}
	if rollbackErr := t.rollback(ctx, err); rollbackErr != nil {
		return fmt.Errorf("roll back after a failure (%w): %w", rollbackErr, &rolledBack{f})
	}
	if f.verdict == skipRecord {
		return nil
	}
	t.failed(err, false)
	if !t.wait(ctx, t.trouble.records[f.id].backoff.next()) {
		return err // the task is ending
	}
	t.enter(taskRunning)
	return nil
}

// rolledBack names a failure whose verdict was carried out already; it is not to be judged again.
type rolledBack struct{ fault *recordFault }

func (r *rolledBack) Error() string { return r.fault.Error() }

// rollback returns to the last commit, because of a failure.
func (t *task) rollback(ctx context.Context, cause error) error {
	l := t.life
	if l.open {
		if err := t.takeBack(ctx); err != nil {
			return err
		}
		t.stats.rolledBack(l, nil)
		endSpan(&t.spans.transaction, cause)
		l.open = false
	}
	l.task.Rollback()
	for _, r := range t.trouble.records {
		r.reached = false
	}
	position, err := t.restoredPosition(nil, l.writer.MayDiffer)
	if err != nil {
		return err
	}
	l.progress = newProgress(t.group.plan, t.partition, position)
	switch {
	case l.units == 0: // the wall clock made it do something, and no record
	case l.units == 1 && len(l.unit.records) > 0:
		l.inputs.putBack(l.unit.records)
	default:
		l.inputs.restart(func(in *input) feed {
			return t.group.reads.Add(in.topic, t.partition, in.from, t.stats.ready)
		})
	}
	l.unit.records = l.unit.records[:0]
	l.units, l.size = 0, commitSize{}
	l.careful = carefulCommits
	return nil
}

// takeBack takes back what was sent since the last commit. If that is nothing, the broker need not know. Else it is what a
// takeover does, without the restore: fence whoever held the transactional id, itself included, which aborts the open
// transaction; then read the committed offsets. Every commit moves the offsets. So if they are those of this task's last
// commit, whose outcome it knows, nobody has committed since, and the state here is the one that a restore would bring.
func (t *task) takeBack(ctx context.Context) error {
	l := t.life
	if done, err := l.writer.Discard(ctx); done || err != nil {
		return err
	}
	l.writer.Close()
	commits := l.writer.LastCommits()
	writer, err := t.takeOver(ctx)
	if err != nil {
		return err
	}
	l.writer, l.logged = writer, writer.Promise(l.acked)
	fault.Point("rollback.fenced")
	offsets, err := writer.Committed(ctx, t.group.inputsOf(t.partition), t.partition)
	if err != nil {
		return err
	}
	if !maps.Equal(offsets, l.offsets) || !maps.Equal(writer.LastCommits(), commits) {
		return fmt.Errorf("offsets are %v of commits %v and were %v of %v: %w",
			offsets, writer.LastCommits(), l.offsets, commits, broker.ErrFenced)
	}
	return nil
}

// hopeless says whether a life that ended with err is the last one: a person must do something.
func (t *task) hopeless(err error) bool {
	if f, ok := errors.AsType[*recordFault](err); ok {
		return f.verdict == giveUp
	}
	refusal, refused := errors.AsType[*broker.ProduceError](err)
	if errors.Is(err, broker.ErrTopicMissing) || refused && refusal.Lasting() && !refusal.OfTopic() {
		t.trouble.lasting++
		return t.trouble.lasting > t.group.app.cfg.ProcessingRetries
	}
	var inconsistent *inconsistentError
	return errors.As(err, &inconsistent) || errors.Is(err, broker.ErrOffsetLost) || errors.Is(err, broker.ErrTimeoutRefused) ||
		errors.Is(err, errNoStart) ||
		errors.Is(err, pebblestore.ErrForeign)
}

// refused finds out which input records an error of the commit comes from, if the broker refused records for what they
// are. The verdicts are remembered; the next life, which begins with a takeover, carries them out.
func (t *task) refused(err error) error {
	l := t.life
	if encode, ok := errors.AsType[*state.EncodeError](err); ok {
		return t.suspect(FailedProcessing, encode.Store, err)
	}
	if record, ok := errors.AsType[*topology.RecordError](err); ok {
		return t.suspect(FailedProcessing, record.Node, err)
	}
	if routed, ok := errors.AsType[*topology.RouteError](err); ok && broker.TopicUnusable(err) {
		return t.suspect(FailedProduce, routed.To, err)
	}
	first, ok := errors.AsType[*broker.ProduceError](err)
	if !ok || !first.Lasting() {
		return err
	}
	var worst *recordFault
	blamed := make(map[recordID]bool)
	for _, refusal := range l.writer.Refused() {
		from := refusal.Origin
		if from == nil || !refusal.Alone() || blamed[idOf(from)] {
			continue
		}
		blamed[idOf(from)] = true
		f := &recordFault{kind: FailedProduce, node: refusal.Record.Topic, record: from, id: idOf(from), err: refusal}
		t.blame(f)
		if worst == nil || f.verdict == giveUp || worst.verdict == skipRecord {
			worst = f
		}
	}
	if worst != nil {
		return worst
	}
	if first.OfTopic() || first.Alone() && !isRow(first.Record, t.group.plan.sub.TableTopic()) && !t.isOutput(first.Record) {
		return err // the changelog itself, a mark or the like, which no record is to blame for
	}
	if !first.Alone() {
		t.group.limits.Store(nil) // asked for again: the topic was changed, or a batch was refused for its size
	}
	return t.suspect(FailedProduce, first.Record.Topic, err)
}

// isOutput says whether a record is one that the topology sends to a topic on which no marks go.
func (t *task) isOutput(rec kgo.Record) bool {
	_, ok := t.group.plan.outputs[rec.Topic]
	return ok && !slices.Contains(t.group.plan.marks, rec.Topic)
}

// isRow says whether a record is a changelog row of a store.
func isRow(rec kgo.Record, table string) bool {
	return rec.Topic == table && string(rec.Key) != state.PositionKey && string(rec.Key) != identityKey
}

// search finds the record that makes a commit fail by halving the transactions, until one record is alone in the one that
// fails. A changelog row is the last of several values, so that nothing but a try tells which record made it what it is.
type search struct {
	limit int              // records for each transaction; 0: no search
	until map[string]int64 // the search is over when all positions are here
}

func (s *search) passed(all []*input) {
	if s.limit == 0 {
		return
	}
	for _, in := range all {
		if in.from < s.until[in.topic] {
			return
		}
	}
	*s = search{}
}

// succeeded notes that a transaction of the search was committed.
func (s *search) succeeded() { s.limit = min(2*s.limit, maxUnit) }

// searching is the error of a life whose transaction failed for a record that is not known yet.
type searching struct{ err error }

func (s *searching) Error() string { return s.err.Error() }
func (s *searching) Unwrap() error { return s.err }

// suspect blames the only record of a failed transaction, or goes on with smaller transactions.
func (t *task) suspect(kind FailureKind, node string, err error) error {
	l := t.life
	if l.size.records == 1 && l.current != nil {
		f := &recordFault{kind: kind, node: node, record: l.current, id: idOf(l.current), err: err}
		t.blame(f)
		return f
	}
	if l.size.records == 0 {
		return err // a punctuation wrote it: there is no record to look for
	}
	if t.trouble.search.limit == 0 {
		t.trouble.search.until = make(map[string]int64, len(l.inputs.all))
		for _, in := range l.inputs.all {
			t.trouble.search.until[in.topic] = in.next
		}
	}
	t.trouble.search.limit = max(1, int(l.size.records/2))
	return &searching{err}
}
