package processors

import (
	"context"
	"log/slog"
	"time"

	"github.com/seed84377926/millrace/topology"
)

// matchInterval is how often topics that match a pattern are looked for while there are none.
const matchInterval = time.Second

// resolve returns the topology with the topics that match its patterns. It waits until each sub-topology has an input.
func (a *App) resolve(ctx context.Context) (*topology.Topology, error) {
	if !hasPatterns(a.top) {
		return a.top, nil
	}
	ticker := time.NewTicker(matchInterval)
	defer ticker.Stop()
	for told := false; ; told = true {
		resolved, err := a.matching(ctx)
		if err != nil {
			return nil, err
		}
		missing := withoutInputs(resolved)
		if missing == "" {
			for _, topic := range matched(resolved) {
				a.cfg.Logger.Info("topic matches a source", slog.String("topic", topic))
			}
			return resolved, nil
		}
		if !told {
			a.cfg.Logger.Warn("no topic matches a source; waiting until there is one", slog.String("sub_topology", missing))
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// matching resolves the topology with the topics that there are now.
func (a *App) matching(ctx context.Context) (*topology.Topology, error) {
	names, err := a.client.TopicNames(ctx)
	if err != nil {
		return nil, err
	}
	return a.top.Resolve(names)
}

func hasPatterns(top *topology.Topology) bool {
	for _, sub := range top.SubTopologies() {
		for _, in := range sub.Inputs() {
			if in.Pattern != "" {
				return true
			}
		}
	}
	return false
}

// withoutInputs names a sub-topology that has no input, "" if all have one.
func withoutInputs(top *topology.Topology) string {
	for _, sub := range top.SubTopologies() {
		if len(sub.Inputs()) == 0 {
			return sub.Name()
		}
	}
	return ""
}

// matched returns all external topics that a resolved topology reads.
func matched(top *topology.Topology) (topics []string) {
	for _, sub := range top.SubTopologies() {
		for _, in := range sub.Inputs() {
			if !in.Repartition {
				topics = append(topics, in.Topic)
			}
		}
	}
	return topics
}

// newTopics warns, once for each, of topics that match a source and are not read, since they were created after the start.
type newTopics struct {
	app  *App
	seen map[string]bool // nil if there are no patterns
}

func (a *App) watchTopics() *newTopics {
	n := &newTopics{app: a}
	if !hasPatterns(a.top) {
		return n
	}
	n.seen = make(map[string]bool)
	for _, g := range a.groups() {
		for _, in := range g.plan.inputs {
			n.seen[in.Topic] = true
		}
	}
	return n
}

func (n *newTopics) look(ctx context.Context) {
	if n.seen == nil {
		return
	}
	logger := n.app.cfg.Logger
	resolved, err := n.app.matching(ctx)
	if err != nil {
		logger.Debug("topics that match sources are not known", slog.Any("error", err))
		return
	}
	for _, topic := range matched(resolved) {
		if !n.seen[topic] {
			n.seen[topic] = true
			logger.Warn("a new topic matches a source and is not read; start all instances again to read it", slog.String("topic", topic))
		}
	}
}
