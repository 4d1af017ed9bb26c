package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology/engine"
)

// applicationTimes is the output of `millrace times`.
type applicationTimes struct {
	Name    string       `json:"name"`
	Cluster string       `json:"cluster"`
	To      *time.Time   `json:"to,omitempty"` // what later times are set to; nil if they are only shown
	DryRun  bool         `json:"dry_run,omitempty"`
	Times   []streamTime `json:"times"`
}

// streamTime is a time that a task keeps.
type streamTime struct {
	Group     string `json:"group"`
	Partition int32  `json:"partition"`
	Name      string `json:"name"` // "" is the stream time of the task
	Time      int64  `json:"time"` // milliseconds; -1 is unknown
	Set       bool   `json:"set"`  // it is later than To
}

func newTimes(opts *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "times",
		Short: "Show the stream times of an application, or set them back",
		Args:  noArguments,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTimesShow(opts), newTimesSet(opts))
	return cmd
}

func newTimesShow(opts *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show APP",
		Short: "Show the stream times of an application",
		Long: `Show the stream times of an application as of its last commits: how far each
task has come, each operator, and each input that has a function for times. The
application may run.`,
		Example: `  millrace times show airport`,
		Args:    oneApplication,
		RunE: func(cmd *cobra.Command, args []string) error {
			return opts.ask(cmd.Context(), func(ctx context.Context, client *broker.Client) error {
				job := timesJob{client: client, opts: opts, latest: math.MaxInt64, dryRun: true}
				return job.run(ctx, cmd.OutOrStdout(), applicationTimes{Name: args[0]})
			})
		},
	}
	opts.clusterFlags(cmd)
	return cmd
}

func newTimesSet(opts *options) *cobra.Command {
	var to string
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "set APP --to TIME",
		Short: "Set stream times of a stopped application back",
		Long: `Set each stream time of an application that is later than TIME to TIME, after
records with times far in the future have got in. Records after TIME are then in
time again.

All instances must be stopped. Each partition is one transaction; a command that
was interrupted can be repeated.

What it does not bring back: rows, windows and sessions that have expired, results
that were emitted when the windows closed, and records that were dropped as late.
Rows and windows that bear times far in the future stay, as does what such records
have written to other topics. Records in repartition topics that are not processed
yet move the times again: let the application process them first, or set the times
again.`,
		Example: `  millrace times set airport --to 2026-11-30T10:00:00Z --dry-run
  millrace times set airport --to 2026-11-30T10:00:00Z`,
		Args: oneApplication,
		RunE: func(cmd *cobra.Command, args []string) error {
			at, err := time.Parse(time.RFC3339, to)
			if err != nil || at.UnixMilli() < 0 {
				return &usageError{cmd, fmt.Errorf("--to is %q; give a time since 1970 such as 2026-11-30T10:00:00Z", to)}
			}
			return opts.ask(cmd.Context(), func(ctx context.Context, client *broker.Client) error {
				job := timesJob{client: client, opts: opts, latest: at.UnixMilli(), dryRun: dryRun, stopped: true}
				return job.run(ctx, cmd.OutOrStdout(), applicationTimes{Name: args[0], To: &at, DryRun: dryRun})
			})
		},
	}
	opts.clusterFlags(cmd)
	cmd.Flags().StringVar(&to, "to", "", "the latest time that is left, as 2026-11-30T10:00:00Z (required)")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only show what would be set")
	return cmd
}

func oneApplication(cmd *cobra.Command, args []string) error {
	if len(args) != 1 || args[0] == "" {
		return &usageError{cmd, fmt.Errorf("%s takes the name of one application, but was given %q", cmd.CommandPath(), args)}
	}
	return nil
}

// timesJob goes through the tasks of an application and lowers their times.
type timesJob struct {
	client  *broker.Client
	opts    *options
	latest  int64
	dryRun  bool
	stopped bool // refuse an application that runs
}

func (j timesJob) run(ctx context.Context, w io.Writer, result applicationTimes) error {
	result.Cluster, result.Times = j.client.ClusterID(), []streamTime{}
	topics, err := j.client.Topics(ctx)
	if err != nil {
		return err
	}
	tables, err := tablesOf(result.Name, topics)
	if err != nil {
		return err
	}
	if j.stopped {
		if err := j.requireStopped(ctx, tables); err != nil {
			return err
		}
	}
	steps := 0
	for _, table := range tables {
		steps += int(topics[table])
	}
	progress := newProgress(j.opts.stderr, max(steps, 1))
	defer progress.end()
	for _, table := range tables {
		for partition := range topics[table] {
			progress.step(fmt.Sprintf("%s/%d", table, partition))
			times, err := j.task(ctx, table, partition)
			if err != nil {
				return fmt.Errorf("%w; the partitions before it are done: run the command again", err)
			}
			result.Times = append(result.Times, times...)
		}
	}
	progress.end()
	return j.opts.print(w, result)
}

const tableSuffix, topologySuffix = "-table", "-topology"

// tablesOf returns the tables of the groups of an application, sorted. The name of one application may begin with that
// of another one; a table belongs to the one with the longest name.
func tablesOf(app string, topics map[string]int32) (tables []string, err error) {
	if _, ok := topics[app+topologySuffix]; !ok {
		return nil, fmt.Errorf("there is no application %q: the cluster has no topic %q", app, app+topologySuffix)
	}
	for _, topic := range slices.Sorted(maps.Keys(topics)) {
		if !strings.HasPrefix(topic, app+"-") || !strings.HasSuffix(topic, tableSuffix) {
			continue
		}
		others := false
		for other := range topics {
			if name, is := strings.CutSuffix(other, topologySuffix); is && len(name) > len(app) && strings.HasPrefix(topic, name+"-") {
				others = true
			}
		}
		if !others {
			tables = append(tables, topic)
		}
	}
	return tables, nil
}

// requireStopped returns an error if a group has a member.
func (j timesJob) requireStopped(ctx context.Context, tables []string) error {
	listed, err := j.client.Admin().ListGroups(ctx)
	if err != nil {
		return fmt.Errorf("list groups: %w", err)
	}
	var groups []string
	for _, table := range tables {
		if group := strings.TrimSuffix(table, tableSuffix); slices.Contains(listed.Groups(), group) {
			groups = append(groups, group)
		}
	}
	if len(groups) == 0 {
		return nil // an empty list means all groups
	}
	described, err := j.client.Admin().DescribeGroups(ctx, groups...)
	if err != nil {
		return fmt.Errorf("describe groups: %w", err)
	}
	for _, g := range described.Sorted() {
		if g.Err != nil {
			return fmt.Errorf("describe group %q: %w", g.Group, g.Err)
		}
		if len(g.Members) > 0 {
			return fmt.Errorf("group %q has %d members, the first is %s: stop all instances of the application first; "+
				"one that was killed stays a member until its session ends", g.Group, len(g.Members), newMember(g.Members[0]).label())
		}
	}
	return nil
}

// task reads the times of one task and, unless it is a dry run, lowers them.
func (j timesJob) task(ctx context.Context, table string, partition int32) (times []streamTime, err error) {
	group := strings.TrimSuffix(table, tableSuffix)
	rewrite := broker.Rewrite{
		Group: group, Topic: table, Partition: partition, DryRun: j.dryRun,
		Wanted: func(key []byte) bool {
			store, _, ok := state.SplitRowKey(key)
			return string(key) == state.PositionKey || ok && store == engine.TimesStore
		},
		Change: func(rows map[string][]byte) (changed []broker.ChangedRow, err error) {
			times, changed, err = lowerTimes(rows, j.latest)
			return changed, err
		},
	}
	if err := rewrite.Run(ctx, j.client); err != nil {
		return nil, err
	}
	for i := range times {
		times[i].Group, times[i].Partition = group, partition
	}
	return times, nil
}

// lowerTimes returns the times in the rows of a task, and the rows that have to change for no time to be later than
// latest. The position is the last one: a reader that has seen it has seen all.
func lowerTimes(rows map[string][]byte, latest int64) (times []streamTime, changed []broker.ChangedRow, err error) {
	encoded, ok := rows[state.PositionKey]
	if !ok {
		return nil, nil, nil // the task has never committed
	}
	position, err := state.DecodePosition(encoded)
	if err != nil {
		return nil, nil, fmt.Errorf("read position: %w", err)
	}
	times = append(times, streamTime{Time: position.StreamTime, Set: position.StreamTime > latest})
	later := position.Lower(latest)
	for _, key := range slices.Sorted(maps.Keys(rows)) {
		_, name, ok := state.SplitRowKey([]byte(key))
		if !ok {
			continue
		}
		lowered, was, err := engine.LowerTime(rows[key], latest)
		if err != nil {
			return nil, nil, errors.Join(fmt.Errorf("time of %q", name), err)
		}
		times = append(times, streamTime{Name: string(name), Time: was, Set: was > latest})
		if string(lowered) != string(rows[key]) {
			changed = append(changed, broker.ChangedRow{Key: []byte(key), Value: lowered})
		}
	}
	if later || len(changed) > 0 {
		changed = append(changed, broker.ChangedRow{Key: []byte(state.PositionKey), Value: position.Append(nil)})
	}
	return times, changed, nil
}

// writeTable prints the times for people.
func (a applicationTimes) writeTable(w io.Writer) error {
	rows := newTable(w, "GROUP", "PARTITION", "OF", "TIME", "SET TO")
	set := 0
	for _, t := range a.Times {
		to := ""
		if t.Set {
			set++
			to = timeText(a.To.UnixMilli())
		}
		rows.row(t.Group, strconv.Itoa(int(t.Partition)), t.of(), timeText(t.Time), to)
	}
	if err := rows.end(); err != nil || a.To == nil {
		return err
	}
	verb := "were set"
	if a.DryRun {
		verb = "would be set"
	}
	_, err := fmt.Fprintf(w, `
%d of %d times %s. Not brought back: rows and windows that have expired, results that were
emitted, records that were dropped as late. Rows with times in the future stay.
`, set, len(a.Times), verb)
	return err
}

func (t streamTime) of() string {
	if t.Name == "" {
		return "(task)"
	}
	return t.Name
}

func timeText(ms int64) string {
	if ms < 0 {
		return "-"
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
}
