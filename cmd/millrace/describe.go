package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/seed84377926/millrace/internal/broker"
)

// application is the output of `millrace describe`: the groups and topics of one application on a cluster.
type application struct {
	Name    string     `json:"name"`
	Cluster string     `json:"cluster"`
	Groups  []group    `json:"groups"`
	Topics  []appTopic `json:"topics"`
}

// appTopic is a topic with its role in an application.
type appTopic struct {
	topic
	Role  string `json:"role"`            // input, repartition, table, topology, aggregate or other
	Group string `json:"group,omitempty"` // the owner, if the topic is a table
}

// The roles of topics.
const (
	roleTable       = "table"       // changelog of a group's state
	roleRepartition = "repartition" // between two groups
	roleInput       = "input"       // read by a group
	roleTopology    = "topology"    // record of the topology
	roleAggregate   = "aggregate"   // state and owners of an edge's aggregates
	roleOther       = "other"       // anything else that is named after the application
)

// group is a consumer group: a sub-topology, or the owners of an edge's commands.
type group struct {
	Name       string           `json:"name"`
	State      string           `json:"state"` // Stable, Empty, PreparingRebalance, …
	Lag        int64            `json:"lag"`
	Members    []member         `json:"members"`
	Partitions []groupPartition `json:"partitions"`
}

// member is one live instance of a group.
type member struct {
	ID       string           `json:"id"`
	ClientID string           `json:"client_id"`
	Host     string           `json:"host"`
	Address  string           `json:"address,omitempty"` // where it serves, if it announced that to the group
	Assigned []topicPartition `json:"assigned"`
}

type topicPartition struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
}

// groupPartition is the progress of a group in one partition.
type groupPartition struct {
	topicPartition
	Committed int64  `json:"committed"` // next offset to read; -1 is none yet
	End       int64  `json:"end"`       // high watermark; -1 is unknown
	Lag       int64  `json:"lag"`       // -1 is unknown
	Member    string `json:"member,omitempty"`
}

func newDescribe(opts *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "describe APP",
		Short: "Show an application's groups, lag, members and topics",
		Long: `Show the groups of an application with their members and their progress in each
partition, and the topics of the application.

Names identify an application: its groups, tables and repartition topics are
called "APP-…", its event topics "APP.…". The application does not need to be
running.

LAG is the number of offsets between the committed one and the end of the log.
Transaction markers count, so an idle group may show a lag of one or two.`,
		Example: `  millrace describe airport
  millrace describe airport -o json | jq '.groups[] | {name, lag}'`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" {
				return &usageError{cmd, fmt.Errorf("describe takes the name of one application, but was given %q", args)}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return opts.ask(cmd.Context(), func(ctx context.Context, client *broker.Client) error {
				inspect := newInspector(client, opts, inspectorSteps+3)
				app, err := inspect.application(ctx, args[0])
				inspect.progress.end()
				if err != nil {
					return err
				}
				app.Cluster = client.ClusterID()
				return opts.print(cmd.OutOrStdout(), app)
			})
		},
	}
	opts.clusterFlags(cmd)
	return cmd
}

// application reads everything about the application called name.
func (i *inspector) application(ctx context.Context, name string) (application, error) {
	all, err := i.groups(ctx)
	if err != nil {
		return application{}, err
	}
	mine := slices.DeleteFunc(slices.Clone(all), func(group string) bool { return !belongsTo(name, group) })
	groups, err := i.describeGroups(ctx, mine)
	if err != nil {
		return application{}, err
	}
	inputs := make(map[string]bool)
	for _, g := range groups {
		for _, p := range g.Partitions {
			inputs[p.Topic] = true
		}
	}
	topics, err := i.topics(ctx, func(topic string) bool { return belongsTo(name, topic) || inputs[topic] })
	if err != nil {
		return application{}, err
	}
	if len(groups) == 0 && len(topics) == 0 {
		return application{}, notFound(name, all)
	}
	app := application{Name: name, Groups: groups, Topics: make([]appTopic, 0, len(topics))}
	for _, t := range topics {
		app.Topics = append(app.Topics, withRole(t, name, mine, inputs))
	}
	slices.SortStableFunc(app.Topics, func(a, b appTopic) int {
		return cmp.Or(cmp.Compare(roleOrder(a.Role), roleOrder(b.Role)), cmp.Compare(a.Name, b.Name))
	})
	for g := range app.Groups {
		app.Groups[g].addEnds(topics)
	}
	return app, nil
}

// notFound returns the error for an application that was not found. It names groups that the cluster has.
func notFound(name string, groups []string) error {
	instead := "no groups at all; is it the right one, and has the application run?"
	if len(groups) > 0 {
		const shown = 8
		more := ""
		if len(groups) > shown {
			more = fmt.Sprintf(" and %d more", len(groups)-shown)
			groups = groups[:shown]
		}
		instead = fmt.Sprintf("groups %s%s; give the part before the first group's own name", strings.Join(groups, ", "), more)
	}
	return fmt.Errorf("describe %q: no group and no topic is named after this application on the cluster, which has %s", name, instead)
}

// withRole determines the role of a topic.
func withRole(t topic, app string, groups []string, inputs map[string]bool) appTopic {
	owner, isTable := strings.CutSuffix(t.Name, "-table")
	switch {
	case isTable && slices.Contains(groups, owner):
		return appTopic{topic: t, Role: roleTable, Group: owner}
	case strings.HasSuffix(t.Name, "-repartition"):
		return appTopic{topic: t, Role: roleRepartition}
	case t.Name == app+"-topology":
		return appTopic{topic: t, Role: roleTopology}
	case inputs[t.Name]:
		return appTopic{topic: t, Role: roleInput}
	case strings.HasSuffix(t.Name, "-state"), strings.HasSuffix(t.Name, "-owners"):
		return appTopic{topic: t, Role: roleAggregate}
	default:
		return appTopic{topic: t, Role: roleOther}
	}
}

// roleOrder sorts topics in the order of the data flow.
func roleOrder(role string) int {
	return slices.Index([]string{roleInput, roleRepartition, roleTable, roleTopology, roleAggregate, roleOther}, role)
}

// describeGroups reads the members and committed offsets of groups.
func (i *inspector) describeGroups(ctx context.Context, names []string) ([]group, error) {
	groups := make([]group, 0, len(names))
	if len(names) == 0 {
		return groups, nil // a request with an empty list means all groups
	}
	i.progress.step("members")
	described, err := i.admin.DescribeGroups(ctx, names...)
	if err = errors.Join(err, described.Error()); err != nil {
		return nil, fmt.Errorf("describe groups %s: %w", strings.Join(names, ", "), err)
	}
	i.progress.step("committed offsets")
	committed := i.admin.FetchManyOffsets(ctx, names...)
	for _, d := range described.Sorted() {
		offsets := committed[d.Group]
		if err := errors.Join(offsets.Err, offsets.Fetched.Error()); err != nil {
			return nil, fmt.Errorf("read the committed offsets of group %q: %w", d.Group, err)
		}
		groups = append(groups, newGroup(d, offsets.Fetched))
	}
	return groups, nil
}

// newGroup merges the committed offsets of a group with the assignments of its members. Either may have partitions that
// the other lacks.
func newGroup(d kadm.DescribedGroup, committed kadm.OffsetResponses) group {
	g := group{Name: d.Group, State: d.State, Members: []member{}, Partitions: []groupPartition{}}
	partitions := make(map[topicPartition]*groupPartition)
	at := func(tp topicPartition) *groupPartition {
		if partitions[tp] == nil {
			partitions[tp] = &groupPartition{topicPartition: tp, Committed: -1, End: -1, Lag: -1}
		}
		return partitions[tp]
	}
	for _, m := range d.Members {
		instance := newMember(m)
		g.Members = append(g.Members, instance)
		for _, tp := range instance.Assigned {
			at(tp).Member = instance.label()
		}
	}
	committed.Each(func(o kadm.OffsetResponse) {
		at(topicPartition{o.Topic, o.Partition}).Committed = o.At
	})
	for _, p := range partitions {
		g.Partitions = append(g.Partitions, *p)
	}
	slices.SortFunc(g.Partitions, func(a, b groupPartition) int { return a.compare(b.topicPartition) })
	return g
}

func newMember(m kadm.DescribedGroupMember) member {
	instance := member{ID: m.MemberID, ClientID: m.ClientID, Host: m.ClientHost, Assigned: []topicPartition{}}
	if joined, ok := m.Join.AsConsumer(); ok && joined != nil {
		instance.Address = printable(joined.UserData)
	}
	if assigned, ok := m.Assigned.AsConsumer(); ok && assigned != nil {
		for _, t := range assigned.Topics {
			for _, p := range t.Partitions {
				instance.Assigned = append(instance.Assigned, topicPartition{t.Topic, p})
			}
		}
	}
	slices.SortFunc(instance.Assigned, topicPartition.compare)
	return instance
}

// printable returns data if it is printable text, and "" otherwise: other kinds of consumers put binary data there.
func printable(data []byte) string {
	if !utf8.Valid(data) {
		return ""
	}
	for _, r := range string(data) {
		if !strconv.IsPrint(r) {
			return ""
		}
	}
	return string(data)
}

// label is the shortest unique name of a member.
func (m member) label() string {
	if m.Address != "" {
		return m.Address
	}
	return m.ID
}

func (tp topicPartition) compare(other topicPartition) int {
	return cmp.Or(cmp.Compare(tp.Topic, other.Topic), cmp.Compare(tp.Partition, other.Partition))
}

// addEnds sets the ends of the logs and computes the lags.
func (g *group) addEnds(topics []topic) {
	logs := make(map[topicPartition]partition)
	for _, t := range topics {
		for _, p := range t.Partitions {
			logs[topicPartition{t.Name, p.Partition}] = p
		}
	}
	for n := range g.Partitions {
		p := &g.Partitions[n]
		log, ok := logs[p.topicPartition]
		if !ok { // the topic was deleted, but the group's offsets were not
			continue
		}
		p.End = log.End
		p.Lag = max(0, log.End-max(p.Committed, log.Start))
		g.Lag += p.Lag
	}
}

// writeTable prints the application for people.
func (a application) writeTable(w io.Writer) error {
	fmt.Fprintf(w, "application %s on cluster %s\n", a.Name, a.Cluster)
	fmt.Fprintln(w)
	groups := newTable(w, "GROUP", "STATE", "MEMBERS", "PARTITIONS", "LAG")
	for _, g := range a.Groups {
		groups.row(g.Name, g.State, strconv.Itoa(len(g.Members)), strconv.Itoa(len(g.Partitions)), number(g.Lag))
	}
	if err := groups.end(); err != nil {
		return err
	}
	for _, g := range a.Groups {
		if err := g.writeTables(w); err != nil {
			return err
		}
	}
	fmt.Fprintln(w)
	topics := newTable(w, "TOPIC", "ROLE", "PARTITIONS", "CLEANUP", "RETENTION", "OFFSETS", "SIZE")
	for _, t := range a.Topics {
		topics.row(t.Name, t.Role, strconv.Itoa(len(t.Partitions)), t.CleanupPolicy, t.retention(), number(t.Offsets), bytes(t.Bytes))
	}
	return topics.end()
}

// writeTables prints a group's members and partitions.
func (g group) writeTables(w io.Writer) error {
	if len(g.Members) > 0 {
		fmt.Fprintf(w, "\nmembers of %s\n", g.Name)
		members := newTable(w, "  MEMBER", "CLIENT", "HOST", "PARTITIONS")
		for _, m := range g.Members {
			members.row("  "+m.label(), m.ClientID, m.Host, strconv.Itoa(len(m.Assigned)))
		}
		if err := members.end(); err != nil {
			return err
		}
	}
	if len(g.Partitions) == 0 {
		return nil
	}
	fmt.Fprintf(w, "\npartitions of %s\n", g.Name)
	partitions := newTable(w, "  TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "MEMBER")
	for _, p := range g.Partitions {
		partitions.row("  "+p.Topic, strconv.Itoa(int(p.Partition)), number(p.Committed), number(p.End), number(p.Lag), cmp.Or(p.Member, "-"))
	}
	return partitions.end()
}
