package describe

import (
	"fmt"
	"strings"
	"time"
)

// String returns the topology as text, in the manner of Kafka Streams: each sub-topology with its stores; then its
// sources, processors and sinks in the order of the program, with the stores they use and the arrows between them. The
// text depends on the program alone, so it is fit for golden files.
func (d Topology) String() string {
	var out strings.Builder
	fmt.Fprintf(&out, "Topology: %s\n", d.Application)
	if d.Policies != "" {
		fmt.Fprintf(&out, "   Failing records: %s\n", d.Policies)
	}
	for _, g := range d.Globals {
		fmt.Fprintf(&out, "   Global table: %s (topic: %s)\n", g.Name, g.Topic)
	}
	topics := make(map[string]Topic, len(d.Topics))
	for _, topic := range d.Topics {
		topics[topic.Name] = topic
	}
	for _, sub := range d.SubTopologies {
		fmt.Fprintf(&out, "   Sub-topology: %s (group: %s)\n", sub.Name, sub.Group)
		for _, s := range sub.Stores {
			fmt.Fprintf(&out, "    Store: %s (%s, changelog: %s)\n", s.Name, s.settings(), sub.Changelog)
		}
		for _, n := range sub.Nodes {
			n.write(&out, topics[n.Topic])
		}
	}
	return out.String()
}

func (n Node) write(out *strings.Builder, topic Topic) {
	switch {
	case n.Dynamic:
		fmt.Fprintf(out, "    Sink: %s (topics: chosen by record)\n", n.Name)
	case n.Role == RoleProcessor:
		fmt.Fprintf(out, "    Processor: %s (stores: [%s]", n.Name, strings.Join(n.Stores, ", "))
		if len(n.Globals) > 0 {
			fmt.Fprintf(out, ", global tables: [%s]", strings.Join(n.Globals, ", "))
		}
		fmt.Fprint(out, ")\n")
	case n.Pattern != "":
		fmt.Fprintf(out, "    Source: %s (topics that match %s)\n", n.Name, n.Pattern)
	default:
		kind, partitions := "Source", ""
		if n.Role == RoleSink {
			kind = "Sink"
		}
		if topic.Partitions > 0 {
			partitions = fmt.Sprintf(", partitions: %d", topic.Partitions)
		}
		fmt.Fprintf(out, "    %s: %s (topic: %s%s)\n", kind, n.Name, n.Topic, partitions)
	}
	if n.Role != RoleSink {
		fmt.Fprintf(out, "      --> %s\n", orNone(n.Children))
	}
	if n.Role != RoleSource {
		fmt.Fprintf(out, "      <-- %s\n", orNone(n.Parents))
	}
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// settings names the kind and the settings of the store.
func (s Store) settings() string {
	words := []string{s.Kind}
	if s.Of != "" {
		words[0] += " of " + s.Of
	}
	if s.Calendar != "" {
		words = append(words, "windows: a "+s.Calendar)
	}
	for _, setting := range []struct {
		what string
		time.Duration
	}{{"window size", s.WindowSize}, {"retention", s.Retention}, {"TTL", s.TTL}} {
		if setting.Duration != 0 {
			words = append(words, fmt.Sprintf("%s: %v", setting.what, setting.Duration))
		}
	}
	return strings.Join(words, ", ")
}
