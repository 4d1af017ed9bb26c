package edge

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json/jsontext"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/views"
)

// View is what a query reads, as far as the edge is concerned: something that knows which source offsets it reflects.
// The views of package views are such. A View that also has a method Ready() <-chan struct{}, as *views.Views does,
// makes its queries answer 503 until that is closed.
type View interface {
	// Wait waits until the view reflects everything below the required offsets that can ever reach it, or ctx ends.
	Wait(ctx context.Context, required state.Offsets) error
	// Position returns the offsets that the view reflects.
	Position() state.Offsets
}

// QueryFunc answers a query. What it returns is encoded as JSON; it must not have a member "meta" of its own. A
// [*Problem] as error is the answer instead; any other error becomes a 500 without its text. ctx ends with the query
// timeout, or when the client is gone.
type QueryFunc func(ctx context.Context, r *Request) (data any, err error)

// QueryOptions says what a query needs.
type QueryOptions struct {
	// Params are the query parameters there are. Others are refused.
	Params []string

	// Views are what the query reads, and waits for if the client sends a consistency token.
	Views []View
}

type query struct {
	method, path string
	answer       QueryFunc
	options      QueryOptions
}

// Query serves a query. method is GET (which serves HEAD too) or QUERY; path may have variables, such as
// "/v1/carriers/{code}/delays". The answer is
//
//	{…, "meta": {"position": [{"topic", "partition", "nextOffset"}…], "stale": false, "next": "cursor"}}
//
// with the members of the object that the query returned, or with the one member "data" if it returned something else,
// where position says what the data reflects at least, stale is true if the views did not reach the consistency token
// and the client asked for handling=lenient, and next is there if Request.Next was called. Mistakes are reported by
// Run.
func (s *Server) Query(method, path string, answer QueryFunc, options QueryOptions) {
	q := &query{method: method, path: path, answer: answer, options: options}
	if method != http.MethodGet && method != methodQuery {
		s.fault(fmt.Errorf("query %s %s: the method of a query is GET or QUERY", method, path))
	}
	if answer == nil {
		s.fault(fmt.Errorf("query %s %s has no function", method, path))
	}
	s.queries = append(s.queries, q)
}

func (q *query) methods() []string {
	if q.method == http.MethodGet {
		return []string{http.MethodGet, http.MethodHead}
	}
	return []string{q.method}
}

// meta is what a query's answer says about itself.
type meta struct {
	Position []nextOffset `json:"position"`
	Stale    bool         `json:"stale"`
	Next     string       `json:"next,omitempty"`
}

// nextOffset is an entry of state.Offsets in JSON.
type nextOffset struct {
	Topic      string `json:"topic"`
	Partition  int32  `json:"partition"`
	NextOffset int64  `json:"nextOffset"`
}

func positionJSON(offsets state.Offsets) []nextOffset {
	list := make([]nextOffset, 0, len(offsets))
	for tp, next := range offsets {
		list = append(list, nextOffset{tp.Topic, tp.Partition, next})
	}
	slices.SortFunc(list, func(a, b nextOffset) int {
		if c := strings.Compare(a.Topic, b.Topic); c != 0 {
			return c
		}
		return int(a.Partition - b.Partition)
	})
	return list
}

// serveQuery handles a query from the token to the answer.
func (s *Server) serveQuery(q *query, w http.ResponseWriter, r *http.Request) {
	about := exchangeOf(r.Context())
	a, err := s.answerQuery(q, r)
	if err != nil {
		a = s.queryProblem(r.Context(), about, err).answer(about)
	}
	a.send(w)
}

func (s *Server) answerQuery(q *query, r *http.Request) (*answer, error) {
	if !acceptsJSON(r.Header) {
		return nil, notAcceptable()
	}
	if q.method == methodQuery {
		if problem := checkContent(r.Header); problem != nil {
			return nil, problem
		}
	}
	params, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, BadRequest("the query string is malformed: %v", err)
	}
	if problem := q.checkParams(params); problem != nil {
		return nil, problem
	}
	sent, problem := parseTokens(r.Header)
	if problem != nil {
		return nil, problem
	}
	prefer := parsePreferences(r.Header)
	stale, waited, err := s.awaitViews(r.Context(), q, sent, prefer)
	if err != nil {
		return nil, err
	}

	// Read before the data: everything below it is in the data. Read again after the data: nothing above it is.
	reflected := q.leastPosition()
	ctx, cancel := context.WithTimeout(r.Context(), s.config.QueryTimeout)
	defer cancel()
	request := &Request{query: q, http: r, params: params, limit: s.config.MaxBodyBytes, signer: s.signer}
	data, err := q.answer(ctx, request)
	if bad := request.Err(); bad != nil {
		return nil, bad
	}
	if err != nil {
		return nil, err
	}
	token := sent.Merge(q.mostPosition()).Token()
	return render(request, data, meta{Position: positionJSON(reflected), Stale: stale, Next: request.next}, token, prefer.applied(waited))
}

// render writes the answer, or 304 if the client has the same data already.
func render(r *Request, data any, m meta, token, preferences string) (*answer, error) {
	encoded, err := marshal(data)
	if err != nil {
		return nil, fmt.Errorf("encode the answer: %w", err)
	}
	sum := sha256.Sum256(append(encoded, m.Next...))
	tag := `W/"` + hex.EncodeToString(sum[:12]) + `"`

	a := &answer{status: http.StatusOK}
	a.set("Etag", tag)
	a.set("Cache-Control", "no-cache")
	a.set("Vary", "Accept, Consistency-Token, Read-After, Prefer")
	if token != "" {
		a.set("Consistency-Token", token)
	}
	if preferences != "" {
		a.set("Preference-Applied", preferences)
	}
	if none, bad := parsePrecondition(http.Header{"If-None-Match": r.http.Header.Values("If-None-Match")}); bad == nil &&
		none.noneMatch != nil && (none.noneMatch.any || none.noneMatch.weak(tag)) && r.query.method == http.MethodGet {
		a.status = http.StatusNotModified
		return a, nil
	}
	a.set("Content-Type", jsonType)
	if m.Next != "" {
		a.set("Link", "<"+r.nextLink()+`>; rel="next"`)
	}
	a.body, err = withMeta(encoded, m)
	return a, err
}

// withMeta adds meta to the object that a query answered, or to one around it if it is none.
func withMeta(data jsontext.Value, m meta) ([]byte, error) {
	if data.Kind() != '{' {
		return marshal(struct {
			Data jsontext.Value `json:"data"`
			Meta meta           `json:"meta"`
		}{data, m})
	}
	encoded, err := marshal(m)
	if err != nil {
		return nil, err
	}
	object := bytes.TrimSpace(data)
	open := object[:len(object)-1]
	body := append(make([]byte, 0, len(object)+len(encoded)+len(`,"meta":`)), open...)
	if len(open) > 1 {
		body = append(body, ',')
	}
	body = append(body, `"meta":`...)
	body = append(body, encoded...)
	return append(body, '}'), nil
}

// parseTokens reads the tokens a client sent. Several merge.
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

// awaitViews waits until all views of the query reflect what the client has seen. It reports whether it gave up and the
// client is content with that, and for how long it was ready to wait.
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

// leastPosition is what all views of the query reflect: the smallest offset of each partition, among the views that
// know it.
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

// mostPosition covers what any view of the query reflects.
func (q *query) mostPosition() state.Offsets {
	most := state.Offsets{}
	for _, view := range q.options.Views {
		maps.Copy(most, most.Merge(view.Position()))
	}
	return most
}

// queryProblem makes a problem of whatever a query returned.
func (s *Server) queryProblem(ctx context.Context, about *exchange, err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	switch {
	case ctx.Err() != nil:
		s.log.Info("the client left before its answer", slog.String("requestId", about.requestID))
		return problem(http.StatusServiceUnavailable, "cancelled", "The request was given up", "the connection was closed")
	case errors.Is(err, views.ErrRebuilding):
		s.log.Error("a query needs a view that is being rebuilt", slog.String("requestId", about.requestID), slog.Any("error", err))
		return problem(http.StatusServiceUnavailable, "view-not-ready", "The view is not ready",
			"a part of it was damaged and is being restored").retryAfter(retrySoon)
	case errors.Is(err, context.DeadlineExceeded):
		return problem(http.StatusGatewayTimeout, "timeout", "The query took too long", "it was stopped after %s", s.config.QueryTimeout)
	}
	return incident(s.log, about, err)
}
