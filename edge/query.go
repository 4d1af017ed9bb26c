package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/seed84377926/millrace/views"
)

// QueryFunc answers a query. data is encoded as JSON; it must not have a member "meta". An error that is a [*Problem]
// is the answer; any other error becomes a 500 without its text, which is logged. ctx ends with the query timeout, or
// when the client is gone.
type QueryFunc func(ctx context.Context, r *Request) (data any, err error)

// QueryOptions says which parameters a query has and which views it reads.
type QueryOptions struct {
	// Params are the names of the query parameters. Others are refused.
	Params []string

	// Views are the views that the query reads. The query waits for them if the client sends a consistency token.
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
// with the members of the object that the query returned, or with one member "data" if it returned something else.
// position is what the data reflects at least. stale is true if the views did not reach the consistency token and the
// client asked for handling=lenient. next is there if Request.Next was called. Mistakes in the arguments are returned
// by Run.
func (s *Server) Query(method, path string, answer QueryFunc, options QueryOptions) {
	q := &query{method: method, path: path, answer: answer, options: options}
	if method != http.MethodGet && method != methodQuery {
		s.addMistake(fmt.Errorf("query %s %s: the method of a query is GET or QUERY", method, path))
	}
	if answer == nil {
		s.addMistake(fmt.Errorf("query %s %s has no function", method, path))
	}
	s.queries = append(s.queries, q)
}

func (q *query) methods() []string {
	if q.method == http.MethodGet {
		return []string{http.MethodGet, http.MethodHead}
	}
	return []string{q.method}
}

// serveQuery handles one request for a query.
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

	// The position before the data is read: everything below it is in the data. The position after the data is read,
	// for the token: nothing above it is in the data.
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

// queryProblem returns the problem for the error of a query.
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
