package edge

import (
	"context"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/seed84377926/millrace/state"
)

// View is a source of data that knows which source offsets it reflects, such as the views of package views. If a View
// also has a method Ready() <-chan struct{}, as *views.Views has, its queries answer 503 until that channel is closed.
type View interface {
	// Wait waits until the view reflects everything below the required offsets that can ever reach it. It returns an
	// error if ctx ends first.
	Wait(ctx context.Context, required state.Offsets) error
	// Position returns the offsets that the view reflects.
	Position() state.Offsets
}

// parseTokens reads the consistency tokens that a client sent, and merges them.
func parseTokens(h http.Header) (state.Offsets, *Problem) {
	merged := state.Offsets{}
	for _, name := range []string{"Consistency-Token", "Read-After"} {
		for token := range strings.SplitSeq(strings.Join(h.Values(name), ","), ",") {
			offsets, err := state.ParseToken(strings.TrimSpace(token))
			if err != nil {
				return nil, badHeader(name, "it is not a token that an edge gave out")
			}
			merged = merged.Merge(offsets)
		}
	}
	return merged, nil
}

// awaitViews waits until all views of the query reflect the offsets that the client sent. If a view does not reflect
// them in time, it returns an error, or stale = true if the client sent handling=lenient. limit is the longest time
// that awaitViews may wait, whether or not it waited.
func (s *Server) awaitViews(ctx context.Context, q *query, sent state.Offsets, prefer preferences) (stale bool, limit time.Duration, err error) {
	limit = s.config.DefaultWait
	if prefer.hasWait {
		limit = min(prefer.wait, s.config.MaxWait)
	}
	for _, view := range q.options.Views {
		if gated, ok := view.(interface{ Ready() <-chan struct{} }); ok {
			select {
			case <-gated.Ready():
			default:
				return false, limit, problem(http.StatusServiceUnavailable, "view-not-ready", "The view is not ready",
					"it is still being restored").retryAfter(retrySoon)
			}
		}
	}
	if len(sent) == 0 {
		return false, limit, nil
	}
	waitCtx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for _, view := range q.options.Views {
		err := view.Wait(waitCtx, sent)
		switch {
		case err == nil:
		case ctx.Err() != nil || waitCtx.Err() == nil:
			return false, limit, err
		case prefer.lenient:
			return true, limit, nil
		default:
			return false, limit, problem(http.StatusServiceUnavailable, "view-behind", "The view is behind",
				"it does not reflect the consistency token after %s; send it again later, or send Prefer: handling=lenient to get older data", limit).
				with("required", positionJSON(sent)).with("current", positionJSON(view.Position())).retryAfter(retrySoon)
		}
	}
	return false, limit, nil
}

// leastPosition returns, for each partition, the smallest of the offsets that the query's views have for it. A view
// without an offset for the partition does not count.
func (q *query) leastPosition() state.Offsets {
	least := state.Offsets{}
	for _, view := range q.options.Views {
		for tp, next := range view.Position() {
			if known, ok := least[tp]; !ok || next < known {
				least[tp] = next
			}
		}
	}
	return least
}

// mostPosition returns, for each partition, the largest offset that one of the query's views reflects.
func (q *query) mostPosition() state.Offsets {
	most := state.Offsets{}
	for _, view := range q.options.Views {
		maps.Copy(most, most.Merge(view.Position()))
	}
	return most
}
