package main

import (
	"context"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/seed84377926/millrace/internal/broker"
)

// topicList is the output of `millrace topics`.
type topicList struct {
	Cluster string  `json:"cluster"`
	Topics  []topic `json:"topics"`
}

func newTopics(opts *options) *cobra.Command {
	var app string
	cmd := &cobra.Command{
		Use:   "topics",
		Short: "List the topics of a cluster",
		Long: `List the topics of a cluster with their partitions, replication, cleanup policy,
retention, offsets and size.

OFFSETS is the distance between the first and the last offset, summed over the
partitions. It is an upper bound of the number of records: compaction leaves
gaps, and transaction markers take offsets.`,
		Example: `  millrace topics
  millrace topics --app airport --brokers kafka-1:9092,kafka-2:9092
  millrace topics -o json | jq -r '.topics[].name'`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return opts.ask(cmd.Context(), func(ctx context.Context, client *broker.Client) error {
				inspect := newInspector(client, opts, inspectorSteps)
				topics, err := inspect.topics(ctx, func(name string) bool { return belongsTo(app, name) })
				inspect.progress.end()
				if err != nil {
					return err
				}
				if topics == nil {
					topics = []topic{} // a JSON list, not null
				}
				return opts.print(cmd.OutOrStdout(), topicList{Cluster: client.ClusterID(), Topics: topics})
			})
		},
	}
	opts.clusterFlags(cmd)
	cmd.Flags().StringVar(&app, "app", "", "list only the topics of this application")
	return cmd
}

// writeTable prints one line for each topic.
func (l topicList) writeTable(w io.Writer) error {
	rows := newTable(w, "TOPIC", "PARTITIONS", "REPLICATION", "CLEANUP", "RETENTION", "OFFSETS", "SIZE")
	for _, t := range l.Topics {
		rows.row(t.Name, strconv.Itoa(len(t.Partitions)), strconv.Itoa(t.Replication), t.CleanupPolicy, t.retention(), number(t.Offsets), bytes(t.Bytes))
	}
	return rows.end()
}

// retention formats how long a record is kept. A topic that is only compacted ignores retention.ms.
func (t topic) retention() string {
	if t.CleanupPolicy == "compact" {
		return "last per key"
	}
	return retention(t.RetentionMS)
}
