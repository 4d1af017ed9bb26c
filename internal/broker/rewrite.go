package broker

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/internal/fault"
)

// TransactionalID returns the id that the task of a group on a partition takes over, see [TakeOver].
func (c *Client) TransactionalID(group string, partition int32) string {
	return fault.TransactionalID(fmt.Sprintf("%s.%s.%d", c.ClusterID(), group, partition))
}

// Rewrite changes rows of a partition of a group's changelog, whose task is not running.
type Rewrite struct {
	// Group is the group of the task. Required.
	Group string
	// Topic and Partition name the partition of the changelog. Topic is required.
	Topic     string
	Partition int32
	// Wanted says whether Change needs the row with the key. Required.
	Wanted func(key []byte) bool
	// Change gets the wanted rows, by key, and returns the rows to write, in this order; none if nothing has to change.
	// Required.
	Change func(rows map[string][]byte) ([]ChangedRow, error)
	// DryRun writes nothing and disturbs no task.
	DryRun bool
}

// ChangedRow is a row that is written. It has the key of a row that exists.
type ChangedRow struct{ Key, Value []byte }

// Run takes the partition over as a task does: it ends what its last owner has left open, and fences that owner. Then
// it reads the rows and writes the changed ones, in one transaction. The committed offsets stay as they are. A task
// that takes over in the meantime makes Run fail with [ErrFenced].
func (r Rewrite) Run(ctx context.Context, client *Client) error {
	fail := func(err error) error { return fmt.Errorf("rewrite %s/%d: %w", r.Topic, r.Partition, err) }
	var writer *Writer
	if !r.DryRun {
		var err error
		if writer, err = TakeOver(ctx, client, WriterConfig{
			TransactionalID: client.TransactionalID(r.Group, r.Partition), Group: r.Group, Limits: client.Limits(ctx, r.Topic),
		}); err != nil {
			return fail(err)
		}
		defer writer.Close()
	}
	rows := make(map[string][]byte)
	if _, err := Restore(ctx, client, r.Topic, r.Partition, 0, func(records []*kgo.Record) error {
		for _, rec := range records {
			switch {
			case !r.Wanted(rec.Key):
			case rec.Value == nil:
				delete(rows, string(rec.Key))
			default:
				rows[string(rec.Key)] = rec.Value
			}
		}
		return nil
	}); err != nil {
		return fail(err)
	}
	changed, err := r.Change(rows)
	if err != nil {
		return fail(err)
	}
	if r.DryRun || len(changed) == 0 {
		return nil
	}
	if err := writer.Begin(); err != nil {
		return fail(err)
	}
	for _, row := range changed {
		writer.Produce(&kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: row.Key, Value: row.Value}, nil)
	}
	if err := writer.Commit(ctx, nil); err != nil {
		return fail(err)
	}
	return nil
}
