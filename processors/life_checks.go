package processors

import (
	"github.com/seed84377926/millrace/internal/invariants"
	"github.com/seed84377926/millrace/state"
)

// checkCommit checks a commit that Kafka has confirmed, before the engine gets its batch. It runs in programs that are
// built with the tag "invariants" only, see package invariants.
func (l *life) checkCommit() {
	if l.outcome != outcomeCommitted {
		invariants.Violated("I3", "partition %d: the engine gets a batch, and the outcome of its transaction is %d", l.partition, l.outcome)
	}
	last := l.changelogLast.Load()
	if offset, ok := l.table.part.Offset(); ok && offset >= last {
		invariants.Violated("I3", "partition %d: the state reflects changelog offset %d before a commit that ends at %d", l.partition, offset, last)
	}
	var key []byte
	for op := range l.batch.Ops() {
		if !op.Local {
			key = op.Key
		}
	}
	if string(key) != state.PositionKey {
		invariants.Violated("I6", "partition %d: the last row of a commit is %q, not the position", l.partition, key)
	}
	now, before := l.progress.position, l.checkedLast
	for tp, offset := range before.Direct {
		if now.Direct[tp] < offset {
			invariants.Violated("I6", "partition %d: the position of %v goes back from %d to %d", l.partition, tp, offset, now.Direct[tp])
		}
	}
	if before.Direct != nil && now.StreamTime < before.StreamTime {
		invariants.Violated("I6", "partition %d: stream time goes back from %d to %d", l.partition, before.StreamTime, now.StreamTime)
	}
	l.checkedLast = now.Clone()
}
