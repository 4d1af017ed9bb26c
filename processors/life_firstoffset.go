package processors

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed84377926/millrace/topology"
)

// errNoStart says that a source must not choose where it begins.
var errNoStart = errors.New("no committed offset")

// firstOffset returns where the task begins to read an input that its group has no offset for.
func (t *task) firstOffset(ctx context.Context, in topology.Input) (int64, error) {
	client := t.group.app.client
	switch in.Start.Kind {
	case topology.StartLatest:
		return client.CommittedEnd(ctx, in.Topic, t.partition)
	case topology.StartAge:
		return client.OffsetAt(ctx, in.Topic, t.partition, time.Now().Add(-in.Start.Age))
	case topology.StartCommitted:
		return 0, fmt.Errorf("group %s: %w of %s/%d, and the source begins at committed offsets only; set the offsets of the group, "+
			"or have the source begin elsewhere", t.plan.sub.Group(), errNoStart, in.Topic, t.partition)
	default:
		return client.StartOffset(ctx, in.Topic, t.partition)
	}
}

// commitStart commits where the task begins before it reads anything, if that depends on when it began: a second try would
// begin later, and pass over what came meanwhile.
func (t *task) commitStart(commit func() error) error {
	if !t.life.chosen {
		return nil
	}
	if err := t.openTransaction(); err != nil {
		return err
	}
	if err := commit(); err != nil {
		return err
	}
	t.life.chosen = false
	return nil
}
