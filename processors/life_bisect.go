package processors

import (
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology/engine"
)

// bisection finds the record that makes a commit fail: it halves the transactions until the one that fails has a single
// record. A changelog row is the last of several values, so only an attempt shows which record made it.
type bisection struct {
	limit int              // records for each transaction; 0: no bisection is under way
	until map[string]int64 // the bisection is over when all positions are here
}

// passed ends the bisection if the committed positions are past the records of the transaction that failed first.
func (b *bisection) passed(all []*input) {
	if b.limit == 0 {
		return
	}
	for _, in := range all {
		if in.from < b.until[in.topic] {
			return
		}
	}
	*b = bisection{}
}

// grow makes transactions larger again after one of them was committed.
func (b *bisection) grow() { b.limit = min(2*b.limit, maxUnit) }

// bisectingError ends a life whose transaction failed because of a record that is not known yet.
type bisectingError struct{ err error }

func (e *bisectingError) Error() string { return e.err.Error() }
func (e *bisectingError) Unwrap() error { return e.err }

// bisect attributes the error to the only record of the failed transaction, or continues with smaller transactions.
func (l *life) bisect(kind FailureKind, node string, err error) error {
	if l.uncommitted.records == 1 && l.current != nil {
		f := &recordFault{kind: kind, node: node, record: l.current, id: idOf(l.current), err: err}
		l.attribute(f)
		return f
	}
	if l.uncommitted.records == 0 {
		return err // a punctuation wrote it: there is no record to look for
	}
	b := &l.faults.bisection
	if b.limit == 0 {
		b.until = make(map[string]int64, len(l.inputs.all))
		for _, in := range l.inputs.all {
			b.until[in.topic] = in.next
		}
	}
	b.limit = max(1, int(l.uncommitted.records/2))
	return &bisectingError{err}
}

// attributeRefusal finds the input records that made a commit fail, if an output or a row could not be encoded, or if
// the broker refused it and a retry does not help. The verdicts are remembered; the next life, which begins with a
// takeover, applies them.
func (l *life) attributeRefusal(err error) error {
	if encode, ok := errors.AsType[*state.EncodeError](err); ok {
		return l.bisect(FailedProcessing, encode.Store, err)
	}
	if record, ok := errors.AsType[*engine.RecordError](err); ok {
		return l.bisect(FailedProcessing, record.Node, err)
	}
	if routed, ok := errors.AsType[*engine.RouteError](err); ok && broker.TopicUnusable(err) {
		return l.bisect(FailedProduce, routed.To, err)
	}
	first, ok := errors.AsType[*broker.ProduceError](err)
	if !ok || !first.Lasting() {
		return err
	}
	var worst *recordFault
	attributed := make(map[recordID]bool)
	for _, refusal := range l.writer.Refused() {
		from := refusal.Origin
		if from == nil || !refusal.Alone() || attributed[idOf(from)] {
			continue
		}
		attributed[idOf(from)] = true
		f := &recordFault{kind: FailedProduce, node: refusal.Record.Topic, record: from, id: idOf(from), err: refusal}
		l.attribute(f)
		if worst == nil || f.verdict == giveUp || worst.verdict == skipRecord {
			worst = f
		}
	}
	if worst != nil {
		return worst
	}
	if first.OfTime() && first.Record.Topic == l.plan.sub.TableTopic() {
		return fmt.Errorf("%w; the rows of the changelog have the time of this machine: correct its clock", err)
	}
	if first.OfTopic() || first.Alone() && !isRow(first.Record, l.plan.sub.TableTopic()) && !l.isOutput(first.Record) {
		return err // the changelog itself, a mark or the like: no record causes that
	}
	if !first.Alone() {
		l.group.limits.Store(nil) // to be read again: the topic was changed, or a batch was refused for its size
	}
	return l.bisect(FailedProduce, first.Record.Topic, err)
}

// isOutput says whether the topology sent the record, to a topic that gets no marks.
func (l *life) isOutput(rec kgo.Record) bool {
	_, ok := l.plan.outputs[rec.Topic]
	return ok && !slices.Contains(l.plan.marks, rec.Topic)
}

// isRow says whether a record is a changelog row of a store.
func isRow(rec kgo.Record, table string) bool {
	return rec.Topic == table && string(rec.Key) != state.PositionKey && string(rec.Key) != identityKey
}
