package processors

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/topology"
)

// errNoCommittedOffset says that a source begins at committed offsets only, and that its group has none.
var errNoCommittedOffset = errors.New("no committed offset")

// firstOffset returns where the life begins to read an input that its group has no offset for.
func (l *life) firstOffset(ctx context.Context, in topology.Input) (int64, error) {
	client := l.inst.client
	switch in.Start.Kind {
	case topology.StartLatest:
		return client.CommittedEnd(ctx, in.Topic, l.partition)
	case topology.StartAge:
		return client.OffsetAt(ctx, in.Topic, l.partition, time.Now().Add(-in.Start.Age))
	case topology.StartCommitted:
		return 0, fmt.Errorf("group %s: %w of %s/%d, and the source begins at committed offsets only; set the offsets of the group, "+
			"or have the source begin elsewhere", l.plan.sub.Group(), errNoCommittedOffset, in.Topic, l.partition)
	default:
		return client.StartOffset(ctx, in.Topic, l.partition)
	}
}

// commitStart commits the first offsets before anything is read, if they depend on when the task began: a second
// attempt would begin later and miss the records in between.
func (l *life) commitStart(ctx context.Context, sessions *broker.Sessions) error {
	if !l.startPending {
		return nil
	}
	if err := l.openTransaction(); err != nil {
		return err
	}
	if err := l.commit(ctx, sessions); err != nil {
		return err
	}
	l.startPending = false
	return nil
}
