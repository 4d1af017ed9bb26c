package processors

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/seed84377926/millrace/topology"
)

// matchInterval is how often topics that match a pattern are looked for while there are none, or while there is a sign
// that they have changed.
const matchInterval = time.Second

// maxHurriedLooks is how many times topics are looked for at the short interval after a sign that they have changed:
// the broker that answers may learn of the change later.
const maxHurriedLooks = 5

// resolve returns the topology with the topics that match its patterns. It waits until each sub-topology has an input.
func resolve(ctx context.Context, inst *instance) (*topology.Topology, error) {
	if !hasPatterns(inst.top) {
		return inst.top, nil
	}
	ticker := time.NewTicker(matchInterval)
	defer ticker.Stop()
	for warned := false; ; warned = true {
		topics, err := inst.client.Topics(ctx)
		if err != nil {
			return nil, err
		}
		resolved, err := inst.top.Resolve(slices.Collect(maps.Keys(topics)))
		if err != nil {
			return nil, err
		}
		missing := withoutInputs(resolved)
		if missing == "" {
			for _, topic := range (subscription{top: resolved}).matching() {
				inst.cfg.Logger.Info("topic matches a source", slog.String("topic", topic))
			}
			return resolved, nil
		}
		if !warned {
			inst.cfg.Logger.Warn("no topic matches a source; waiting until there is one", slog.String("sub_topology", missing))
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// topicWatch looks, while the application runs, for topics that match its sources and are not read, and for topics that
// are read and do not exist any more. The groups then go on with what it finds (docs/decisions/0014). One goroutine,
// from start to the function that start returns.
type topicWatch struct {
	inst    *instance
	replan  func(ctx context.Context, plans []*groupPlan) // of all groups
	known   subscription                                  // touched by the goroutine, once it runs
	hurried chan struct{}                                 // signalled: there is a sign that topics have changed

	mu struct {
		sync.Mutex
		unread map[string]string // topics that match and cannot be read, with the reasons
	}
}

func newTopicWatch(inst *instance, replan func(context.Context, []*groupPlan)) *topicWatch {
	return &topicWatch{inst: inst, replan: replan, hurried: make(chan struct{}, 1)}
}

// start begins to look at an interval, if there is anything to look for. The function it returns ends that and waits
// for it.
func (w *topicWatch) start(ctx context.Context, known subscription) (stop func()) {
	if !hasPatterns(w.inst.top) {
		return func() {}
	}
	w.known = known
	return background(ctx, w.run)
}

// lookSoon makes it look at once.
func (w *topicWatch) lookSoon() {
	select {
	case w.hurried <- struct{}{}:
	default:
	}
}

// unread returns the topics that match and cannot be read, with the reasons.
func (w *topicWatch) unread() map[string]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.mu.unread)
}

func (w *topicWatch) run(ctx context.Context) {
	hurry := 0
	timer := time.NewTimer(w.inst.cfg.MetadataMaxAge)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			hurry = max(0, hurry-1)
		case <-w.hurried:
			hurry = maxHurriedLooks
		}
		switch changed, err := w.look(ctx); {
		case err != nil:
			w.inst.cfg.Logger.Debug("topics cannot be listed; they are looked for again", slog.Any("error", err))
			hurry = max(hurry, 1)
		case changed:
			hurry = 0
		}
		if hurry > 0 {
			timer.Reset(min(matchInterval, w.inst.cfg.MetadataMaxAge))
		} else {
			timer.Reset(w.inst.cfg.MetadataMaxAge)
		}
	}
}

// look compares the topics with those that are read. It reports whether the application goes on with others.
func (w *topicWatch) look(ctx context.Context) (changed bool, err error) {
	topics, err := w.inst.client.Topics(ctx)
	if err != nil {
		return false, err
	}
	change := w.known.next(topics)
	w.report(change)
	if len(change.added) == 0 && len(change.removed) == 0 {
		return false, nil
	}
	w.known = change.to
	w.replan(ctx, planGroups(change.to.top.SubTopologies(), change.to.sizes))
	return true, nil
}

// report logs what has changed, and keeps the topics that cannot be read.
func (w *topicWatch) report(change subscriptionChange) {
	logger := w.inst.cfg.Logger
	for _, topic := range change.added {
		logger.Info("a new topic matches a source; it is read from now on", slog.String("topic", topic))
	}
	for _, topic := range change.removed {
		logger.Warn("a topic that matches a source does not exist any more; the application goes on without it", slog.String("topic", topic))
	}
	if missing := withoutInputs(change.to.top); missing != "" && len(change.removed) > 0 {
		logger.Warn("no topic matches a source; waiting until there is one", slog.String("sub_topology", missing))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.mu.unread
	w.mu.unread = make(map[string]string, len(change.refused))
	for topic, err := range change.refused {
		w.mu.unread[topic] = err.Error()
		if before[topic] != err.Error() {
			logger.Warn("a new topic matches a source and cannot be read; the application goes on without it, and would not start with it",
				slog.String("topic", topic), slog.Any("error", err))
		}
	}
}
