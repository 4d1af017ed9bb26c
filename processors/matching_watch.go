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

// matchInterval is how often topics that match a pattern are looked for while there are none, or while somebody says that there
// are others.
const matchInterval = time.Second

// maxHurriedLooks is how often topics are looked for at the short interval once somebody has said that they are others: the
// broker that is asked may hear of it later.
const maxHurriedLooks = 5

// resolve returns the topology with the topics that match its patterns. It waits until each sub-topology has an input.
func (a *App) resolve(ctx context.Context) (*topology.Topology, error) {
	if !hasPatterns(a.top) {
		return a.top, nil
	}
	ticker := time.NewTicker(matchInterval)
	defer ticker.Stop()
	for told := false; ; told = true {
		topics, err := a.client.Topics(ctx)
		if err != nil {
			return nil, err
		}
		resolved, err := a.top.Resolve(slices.Collect(maps.Keys(topics)))
		if err != nil {
			return nil, err
		}
		missing := withoutInputs(resolved)
		if missing == "" {
			for _, topic := range (reading{top: resolved}).matching() {
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

// topicWatch looks, while the application runs, for topics that match its sources and are not read, and for those that are read
// and do not exist any more, and has the groups go on with what it finds (docs/decisions/0014). One goroutine, from start on.
type topicWatch struct {
	app     *App
	known   reading       // touched by the goroutine, once it runs
	hurried chan struct{} // signalled: somebody has seen that there are others

	mu struct {
		sync.Mutex
		unread map[string]string // topics that match and are not read: why
	}
}

func newTopicWatch(a *App) *topicWatch { return &topicWatch{app: a, hurried: make(chan struct{}, 1)} }

// start looks at an interval, if there is anything to look for. The function it returns ends that and waits for it.
func (w *topicWatch) start(ctx context.Context, known reading) (stop func()) {
	if !hasPatterns(w.app.top) {
		return func() {}
	}
	w.known = known
	return background(ctx, w.run)
}

// hurry makes it look at once.
func (w *topicWatch) hurry() {
	select {
	case w.hurried <- struct{}{}:
	default:
	}
}

// unread returns the topics that match and are not read, with the reasons.
func (w *topicWatch) unread() map[string]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.mu.unread)
}

func (w *topicWatch) run(ctx context.Context) {
	hurry := 0
	timer := time.NewTimer(w.app.cfg.MetadataMaxAge)
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
			w.app.cfg.Logger.Debug("topics that match sources are not known", slog.Any("error", err))
			hurry = max(hurry, 1)
		case changed:
			hurry = 0
		}
		if hurry > 0 {
			timer.Reset(min(matchInterval, w.app.cfg.MetadataMaxAge))
		} else {
			timer.Reset(w.app.cfg.MetadataMaxAge)
		}
	}
}

// look says whether the application goes on with other topics than before.
func (w *topicWatch) look(ctx context.Context) (changed bool, err error) {
	topics, err := w.app.client.Topics(ctx)
	if err != nil {
		return false, err
	}
	change := w.known.next(topics)
	w.tell(change)
	if len(change.added) == 0 && len(change.removed) == 0 {
		return false, nil
	}
	w.known = change.reading
	w.app.replan(ctx, planGroups(change.reading.top.SubTopologies(), change.reading.sizes))
	return true, nil
}

// tell logs what is new.
func (w *topicWatch) tell(change topicsChange) {
	logger := w.app.cfg.Logger
	for _, topic := range change.added {
		logger.Info("a new topic matches a source; it is read from now on", slog.String("topic", topic))
	}
	for _, topic := range change.removed {
		logger.Warn("a topic that matches a source does not exist any more; the application goes on without it", slog.String("topic", topic))
	}
	if missing := withoutInputs(change.reading.top); missing != "" && len(change.removed) > 0 {
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

// replan has the groups go on whose plans are others than before, all at once.
func (a *App) replan(ctx context.Context, plans []*groupPlan) {
	var replanned sync.WaitGroup
	for _, g := range a.groups() {
		for _, p := range plans {
			if p.sub.Group() == g.plan().sub.Group() && !p.reflectsLike(g.plan()) {
				replanned.Go(func() { g.replan(ctx, p) })
			}
		}
	}
	replanned.Wait()
}
