package topology

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/seed84377926/millrace/codecs"
)

// SourceMatching reads all topics whose whole name matches a regular expression (in the syntax of package regexp) as
// one stream. The name is the name of the source, and of its sub-topology if no stateful operator in it has a name. A
// record with a negative timestamp is dropped. The options hold for each topic; partition times are kept for each
// partition.
//
// When an instance starts, it looks up which topics match, and waits until there is one. From then on it looks at an
// interval (processors.Config.MetadataMaxAge) for topics that were created or deleted, and begins or stops to read them
// while it runs. They may have different numbers of partitions, like topics that are merged ([Stream.Merge]), unless
// the stream is joined. A topic that is created later must not have more partitions than the largest of the topics had
// before, because the state has no place for more; in a join it must have as many as the other side. A topic that does
// not fit is not read: a warning says why, and the application goes on without it. The application would not start with
// it. Internal topics, of the application and of Kafka, never match. A topic that matches cannot also be read in
// another way.
func SourceMatching[K, V any](
	b *Builder, name, expression string, key codecs.Codec[K], value codecs.Codec[V], opts ...SourceOption,
) Stream[K, V] {
	o, all := sourceOptionsOf(opts)
	n := b.node("source-matching", slices.Concat([]NodeOption{Named(name)}, all, []NodeOption{o.nodeOptions}))
	n.pattern = &pattern{text: expression}
	re, err := regexp.Compile("^(?:" + expression + ")$")
	switch {
	case err != nil:
		b.errorf(n, "%w", err)
	case expression == "":
		b.errorf(n, "the regular expression is empty")
	}
	n.pattern.re = re
	b.checks = append(b.checks, func() error { return b.checkPattern(n) })
	return readAs(n, key, value, o)
}

// checkPattern finds topics that are read by name and match the pattern of n.
func (g *graph) checkPattern(n *node) error {
	var errs []error
	for _, other := range slices.Concat(g.nodes, g.globals) {
		if g.sources[other.topic] == other && n.pattern.re.MatchString(other.topic) {
			errs = append(errs, fmt.Errorf("%s: %s: topic %q matches, which is read at %s already; narrow the expression down",
				n.site, n.label(), other.topic, other.site))
		}
	}
	return errors.Join(errs...)
}

// Resolve returns the topology with an input for each of the topics that match the pattern of a source, see
// [SourceMatching], or the topology itself if it has no such source. It fails if a topic matches two patterns. The
// tables of the result say which of the topics reach them. A resolved topology may be resolved again, with other
// topics.
func (t *Topology) Resolve(topics []string) (*Topology, error) {
	if t.program != nil {
		return t.program.Resolve(topics)
	}
	topics = slices.Compact(slices.Sorted(slices.Values(topics)))
	flow := newOrigins()
	flow.matched = make(map[*node][]string)
	readers := make(map[string]*node)
	patterns := false
	for _, n := range t.nodes {
		if n.pattern == nil {
			continue
		}
		patterns = true
		for _, topic := range topics {
			if !n.pattern.re.MatchString(topic) || t.isOwn(topic) {
				continue
			}
			if other := readers[topic]; other != nil {
				return nil, fmt.Errorf("topology %q: topic %q matches the %s at %s and the %s at %s; narrow one of the expressions down",
					t.name, topic, other.label(), other.site, n.label(), n.site)
			}
			readers[topic] = n
			flow.matched[n] = append(flow.matched[n], topic)
		}
	}
	if !patterns {
		return t, nil
	}
	resolved := *t
	resolved.program, resolved.subs, resolved.tables = t, nil, nil
	for _, sub := range t.subs {
		sub = sub.resolve(&resolved, flow)
		resolved.subs = append(resolved.subs, sub)
		resolved.tables = append(resolved.tables, sub.tables(flow)...)
	}
	return &resolved, nil
}

// Matches reports whether the name of a topic matches the pattern of a source of the sub-topology.
func (s *SubTopology) Matches(topic string) bool {
	program := s
	if s.program != nil {
		program = s.program
	}
	return !program.top.isOwn(topic) && slices.ContainsFunc(program.sources, func(n *node) bool {
		return n.pattern != nil && n.pattern.re.MatchString(topic)
	})
}

// isOwn reports whether a topic is internal: of the application, perhaps of an earlier version of it, or of Kafka.
func (t *Topology) isOwn(topic string) bool {
	if _, ok := t.internal[topic]; ok || strings.HasPrefix(topic, "__") {
		return true
	}
	rest, ok := strings.CutPrefix(topic, t.name+"-")
	return ok && (rest == "topology" || strings.HasSuffix(rest, "-table") || strings.HasSuffix(rest, "-repartition"))
}

func (s *SubTopology) resolve(top *Topology, flow *origins) *SubTopology {
	resolved := *s
	resolved.top, resolved.program, resolved.inputs, resolved.sources = top, s, nil, nil
	matched := make(map[string][]string) // by what the source is called
	for i, in := range s.inputs {
		source := s.sources[i]
		topics := []string{in.Topic}
		if source.pattern != nil {
			topics = flow.matched[source]
		}
		matched[source.input()] = topics
		for _, topic := range topics {
			in.Topic, in.Pattern, in.Origins = topic, "", []string{topic}
			if in.Repartition {
				in.Origins = flow.all(source)
			}
			resolved.inputs, resolved.sources = append(resolved.inputs, in), append(resolved.sources, source)
		}
	}
	resolved.feeding = make(map[string][]string)
	for output, inputs := range s.feeding {
		resolved.feeding[output] = expand(inputs, matched)
	}
	resolved.copartitions = slices.Clone(s.copartitions)
	for i := range resolved.copartitions {
		c := &resolved.copartitions[i]
		c.Topics = expand(c.Topics, matched)
	}
	return &resolved
}

// expand replaces the names of inputs by the topics that they stand for, sorted.
func expand(inputs []string, topics map[string][]string) (all []string) {
	for _, in := range inputs {
		all = append(all, topics[in]...)
	}
	slices.Sort(all)
	return all
}
