package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/seed84377926/millrace/internal/broker"
)

// topic is one topic as a cluster reports it.
type topic struct {
	Name          string      `json:"name"`
	Replication   int         `json:"replication"` // replicas of the partition that has the fewest
	CleanupPolicy string      `json:"cleanup_policy"`
	RetentionMS   *int64      `json:"retention_ms"` // negative is forever, null is unknown
	Offsets       int64       `json:"offsets"`      // end minus start, summed over the partitions; compaction and transaction markers make it more than the records
	Bytes         int64       `json:"bytes"`        // size of one replica of each partition; -1 is unknown
	Partitions    []partition `json:"partitions"`
}

// partition is one partition of a topic.
type partition struct {
	Partition int32 `json:"partition"`
	Leader    int32 `json:"leader"` // -1 is none
	Start     int64 `json:"start"`
	End       int64 `json:"end"` // high watermark
	Bytes     int64 `json:"bytes"`
}

// inspector reads the state of one cluster.
type inspector struct {
	admin    *kadm.Client
	logger   *slog.Logger
	progress *progress
}

// inspectorSteps is the number of progress steps that the method topics reports.
const inspectorSteps = 4

func newInspector(client *broker.Client, opts *options, steps int) *inspector {
	return &inspector{admin: client.Admin(), logger: opts.logger, progress: newProgress(opts.stderr, steps)}
}

// belongsTo reports whether a topic or group belongs to the application app. millrace names groups, tables and
// repartition topics "<app>-…"; applications name their event topics "<app>.…". If one application's name is a prefix
// of another's ("air" and "air-cargo"), names cannot tell them apart.
func belongsTo(app, name string) bool {
	return app == "" || name == app || strings.HasPrefix(name, app+"-") || strings.HasPrefix(name, app+".")
}

// topics returns the topics that wanted accepts, sorted by name.
func (i *inspector) topics(ctx context.Context, wanted func(name string) bool) ([]topic, error) {
	i.progress.step("topics")
	details, err := i.admin.ListTopics(ctx)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	var found []topic
	var names []string
	for _, detail := range details.Sorted() {
		if !wanted(detail.Topic) {
			continue
		}
		if detail.Err != nil {
			return nil, fmt.Errorf("topic %q: %w", detail.Topic, detail.Err)
		}
		names = append(names, detail.Topic)
		found = append(found, newTopic(detail))
	}
	if len(found) == 0 {
		return nil, nil // a request with an empty list of names means all topics
	}
	i.progress.step("configuration")
	if err := i.addConfigs(ctx, found, names); err != nil {
		return nil, err
	}
	i.progress.step("offsets")
	if err := i.addOffsets(ctx, found, names); err != nil {
		return nil, err
	}
	i.progress.step("sizes")
	i.addSizes(ctx, found)
	return found, nil
}

func newTopic(detail kadm.TopicDetail) topic {
	t := topic{Name: detail.Topic, Replication: detail.Partitions.NumReplicas(), Bytes: -1}
	for _, p := range detail.Partitions.Sorted() {
		t.Partitions = append(t.Partitions, partition{Partition: p.Partition, Leader: p.Leader, Bytes: -1})
		t.Replication = min(t.Replication, len(p.Replicas))
	}
	return t
}

// addConfigs sets the cleanup policies and retentions.
func (i *inspector) addConfigs(ctx context.Context, topics []topic, names []string) error {
	configs, err := i.admin.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return fmt.Errorf("read the configuration of topics: %w", err)
	}
	for n := range topics {
		t := &topics[n]
		resource, err := configs.On(t.Name, nil)
		if err = errors.Join(err, resource.Err); err != nil {
			return fmt.Errorf("read the configuration of topic %q: %w", t.Name, err)
		}
		for _, config := range resource.Configs {
			switch config.Key {
			case "cleanup.policy":
				t.CleanupPolicy = config.MaybeValue()
			case "retention.ms":
				if ms, err := strconv.ParseInt(config.MaybeValue(), 10, 64); err == nil {
					t.RetentionMS = &ms
				}
			}
		}
	}
	return nil
}

// addOffsets sets the first and last offsets of partitions.
func (i *inspector) addOffsets(ctx context.Context, topics []topic, names []string) error {
	starts, err := i.admin.ListStartOffsets(ctx, names...)
	if err = errors.Join(err, starts.Error()); err != nil {
		return fmt.Errorf("read the first offsets of topics: %w", err)
	}
	ends, err := i.admin.ListEndOffsets(ctx, names...)
	if err = errors.Join(err, ends.Error()); err != nil {
		return fmt.Errorf("read the last offsets of topics: %w", err)
	}
	for n := range topics {
		t := &topics[n]
		for k := range t.Partitions {
			p := &t.Partitions[k]
			start, _ := starts.Lookup(t.Name, p.Partition)
			end, _ := ends.Lookup(t.Name, p.Partition)
			p.Start, p.End = start.Offset, end.Offset
			t.Offsets += p.End - p.Start
		}
	}
	return nil
}

// addSizes sets the sizes on disk. They are optional: a cluster may refuse to tell them, and then the refusal is
// logged.
func (i *inspector) addSizes(ctx context.Context, topics []topic) {
	dirs, err := i.admin.DescribeAllLogDirs(ctx, nil)
	if err != nil {
		i.logger.WarnContext(ctx, "sizes are unknown: the cluster does not describe its log directories", slog.Any("error", err))
		if len(dirs) == 0 {
			return
		}
	}
	type id struct {
		topic     string
		partition int32
	}
	largest := make(map[id]int64) // the largest replica, since others may lag
	dirs.Each(func(dir kadm.DescribedLogDir) {
		dir.Topics.Each(func(p kadm.DescribedLogDirPartition) {
			if !p.IsFuture {
				largest[id{p.Topic, p.Partition}] = max(largest[id{p.Topic, p.Partition}], p.Size)
			}
		})
	})
	for n := range topics {
		t := &topics[n]
		for k := range t.Partitions {
			if size, ok := largest[id{t.Name, t.Partitions[k].Partition}]; ok {
				t.Partitions[k].Bytes = size
				t.Bytes = max(t.Bytes, 0) + size
			}
		}
	}
}

// groups returns the names of all consumer groups, sorted.
func (i *inspector) groups(ctx context.Context) ([]string, error) {
	i.progress.step("groups")
	listed, err := i.admin.ListGroups(ctx)
	if err != nil {
		return nil, fmt.Errorf("list groups: %w", err)
	}
	names := listed.Groups()
	slices.Sort(names)
	return names, nil
}
