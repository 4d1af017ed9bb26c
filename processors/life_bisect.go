package processors

import (
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
)

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
	if first.OfTopic() || first.Alone() && !isRow(first.Record, t.plan.sub.TableTopic()) && !t.isOutput(first.Record) {
		return err // the changelog itself, a mark or the like, which no record is to blame for
	}
	if !first.Alone() {
		t.group.limits.Store(nil) // asked for again: the topic was changed, or a batch was refused for its size
	}
	return t.suspect(FailedProduce, first.Record.Topic, err)
}

// isOutput says whether a record is one that the topology sends to a topic on which no marks go.
func (t *task) isOutput(rec kgo.Record) bool {
	_, ok := t.plan.outputs[rec.Topic]
	return ok && !slices.Contains(t.plan.marks, rec.Topic)
}

// isRow says whether a record is a changelog row of a store.
func isRow(rec kgo.Record, table string) bool {
	return rec.Topic == table && string(rec.Key) != state.PositionKey && string(rec.Key) != identityKey
}
