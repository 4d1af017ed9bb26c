package edge_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/edge"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/views"
)

// echo answers what it understood of its parameters.
func echo(_ context.Context, r *edge.Request) (any, error) {
	got := map[string]any{
		"code": r.Path("code"), "text": r.Text("text", "none"), "sort": r.OneOf("sort", "up", "up", "down"),
		"limit": r.Int("limit", 1, 500, 50), "all": r.Bool("all", false), "has": r.Has("text"),
		"from": r.Time("from", time.UnixMilli(0).UTC()), "day": r.Date("day", time.UnixMilli(0).UTC()), "accept": r.Header("Accept"),
	}
	if r.Text("text", "") == "odd" {
		r.Invalid("text", "it is odd")
	}
	return got, r.Err()
}

var echoParams = []string{"text", "sort", "limit", "all", "from", "day"}

func startQueries(t *testing.T) *running {
	return start(t, edge.Config{QueryTimeout: 50 * time.Millisecond}, func(s *edge.Server) {
		s.Query("GET", "/echo/{code}", echo, edge.QueryOptions{Params: echoParams})
		s.Query("GET", "/none", answer([]int{}), edge.QueryOptions{})
		s.Query("GET", "/pages", pages, edge.QueryOptions{Params: []string{"cursor", "limit", "upTo"}})
		s.Query("QUERY", "/search", search, edge.QueryOptions{})
		s.Query("GET", "/fail/{how}", fail, edge.QueryOptions{})
	})
}

func fail(ctx context.Context, r *edge.Request) (any, error) {
	switch r.Path("how") {
	case "problem":
		return nil, edge.NotFound("no flight %q", "UA1")
	case "wrapped":
		return nil, fmt.Errorf("context: %w", &edge.Problem{Status: 418, Type: "/teapot", Title: "Short and stout", RetryAfter: 1500 * time.Millisecond})
	case "error":
		return nil, errors.New("secret")
	case "rebuilding":
		return nil, fmt.Errorf("secret: %w", views.ErrRebuilding)
	case "panic":
		panic("secret")
	case "abort":
		panic(http.ErrAbortHandler)
	case "slow":
		<-ctx.Done()
		return nil, ctx.Err()
	case "json":
		return func() {}, nil
	case "path":
		return r.Path("where"), nil
	case "param":
		return r.Text("where", ""), nil
	case "body":
		r.Body(new(int))
		return nil, nil
	case "cursor":
		r.Next(func() {})
	}
	return nil, nil
}

func search(_ context.Context, r *edge.Request) (any, error) {
	var q struct {
		Carriers []string `json:"carriers"`
	}
	r.Body(&q)
	return q.Carriers, r.Err()
}

// pages counts to upTo, limit at a time.
func pages(_ context.Context, r *edge.Request) (any, error) {
	limit, upTo := r.Int("limit", 1, 10, 3), r.Int("upTo", 1, 100, 7)
	var after int
	r.Cursor(&after)
	if err := r.Err(); err != nil {
		return nil, err
	}
	page := []int{}
	for n := after + 1; n <= upTo && len(page) < limit; n++ {
		page = append(page, n)
	}
	if last := after + len(page); last < upTo {
		r.Next(last)
	}
	return page, nil
}

func TestQuery_parameters(t *testing.T) {
	r := startQueries(t)
	got := r.get("/echo/a%2Fb?text=&sort=down&limit=7&all&from=2026-11-23T04:05:06.5%2B01:00&day=2026-11-23", "Accept", "application/*;q=0.1, text/html")
	require.Equal(t, 200, got.StatusCode, "%s", got.body)
	require.Equal(t, "application/json", got.Header.Get("Content-Type"))
	require.JSONEq(t, `{"code":"a/b","text":"","sort":"down","limit":7,"all":true,"has":true,"from":"2026-11-23T04:05:06.5+01:00",
		"day":"2026-11-23T00:00:00Z","accept":"application/*;q=0.1, text/html","meta":{"position":[],"stale":false}}`, got.body)
	got = r.get("/echo/x")
	require.JSONEq(t, `{"code":"x","text":"none","sort":"up","limit":50,"all":false,"has":false,"from":"1970-01-01T00:00:00Z",
		"day":"1970-01-01T00:00:00Z","accept":"","meta":{"position":[],"stale":false}}`, got.body)
}

func TestQuery_badRequests(t *testing.T) {
	r := startQueries(t)
	parameter := func(pairs ...string) any {
		var list []any
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, map[string]any{"parameter": pairs[i], "detail": pairs[i+1]})
		}
		return list
	}
	for name, test := range map[string]struct {
		method, path, body string
		header             []string
		status             int
		typ                string
		want               map[string]any
	}{
		"unknown parameter": {path: "/echo/x?limt=1&zzz=2", status: 400, typ: "invalid-parameter", want: map[string]any{
			"errors":  parameter("limt", "unknown parameter", "zzz", "unknown parameter"),
			"allowed": []any{"all", "day", "from", "limit", "sort", "text"},
			"detail":  "limt: unknown parameter; allowed: all, day, from, limit, sort, text",
		}},
		"no parameters at all": {path: "/none?a=1", status: 400, typ: "invalid-parameter", want: map[string]any{"allowed": []any{}}},
		"repeated":             {path: "/echo/x?limit=1&limit=2", status: 400, typ: "invalid-parameter", want: map[string]any{"errors": parameter("limit", "it appears 2 times; send it once")}},
		"everything at once": {path: "/echo/x?limit=0&sort=sideways&all=maybe&from=noon&day=23.11.&text=odd", status: 400, typ: "invalid-parameter", want: map[string]any{"errors": parameter(
			"sort", `"sideways" is not allowed; send one of up, down`,
			"limit", `"0" is not a whole number from 1 to 500`,
			"all", `"maybe" is neither true nor false`,
			"from", `"noon" is not a time as in RFC 3339, such as 2026-11-23T04:00:00Z`,
			"day", `"23.11." is not a day such as 2026-11-23`,
			"text", "it is odd")}},
		"plus as space":     {path: "/echo/x?from=2026-11-23T04:05:06+01:00", status: 400, typ: "invalid-parameter", want: map[string]any{"errors": parameter("from", `"2026-11-23T04:05:06 01:00" is not a time as in RFC 3339, such as 2026-11-23T04:00:00Z; write + as %2B`)}},
		"number too large":  {path: "/echo/x?limit=99999999999999999999", status: 400, typ: "invalid-parameter"},
		"malformed string":  {path: "/echo/x?limit=%zz", status: 400, typ: "bad-request"},
		"html":              {path: "/none", header: []string{"Accept", "text/html, application/xml;q=0.9"}, status: 406, typ: "not-acceptable", want: map[string]any{"available": []any{"application/json"}}},
		"bad token":         {path: "/none", header: []string{"Read-After", "%%"}, status: 400, typ: "invalid-header"},
		"post":              {method: "POST", path: "/none", status: 405, typ: "method-not-allowed", want: map[string]any{"allowed": []any{"GET", "HEAD"}}},
		"get a search":      {path: "/search", status: 405, typ: "method-not-allowed", want: map[string]any{"allowed": []any{"QUERY"}}},
		"search for text":   {method: "QUERY", path: "/search", body: `{}`, header: []string{"Content-Type", "text/plain"}, status: 415, typ: "unsupported-media-type"},
		"search, unknown":   {method: "QUERY", path: "/search", body: `{"carrier":1}`, status: 400, typ: "invalid-parameter", want: map[string]any{"errors": []any{map[string]any{"pointer": "/carrier", "detail": "unknown field"}}}},
		"search, malformed": {method: "QUERY", path: "/search", body: `{"carriers":[`, status: 400, typ: "invalid-parameter"},
		"search, type":      {method: "QUERY", path: "/search", body: `{"carriers":[1]}`, status: 400, typ: "invalid-parameter", want: map[string]any{"errors": []any{map[string]any{"pointer": "/carriers/0", "detail": "the value does not fit here"}}}},
		"problem":           {path: "/fail/problem", status: 404, typ: "not-found", want: map[string]any{"detail": `no flight "UA1"`}},
		"error":             {path: "/fail/error", status: 500, typ: "internal"},
		"panic":             {path: "/fail/panic", status: 500, typ: "internal"},
		"rebuilding":        {path: "/fail/rebuilding", status: 503, typ: "view-not-ready", want: map[string]any{"detail": "a part of it was damaged and is being restored"}},
		"slow":              {path: "/fail/slow", status: 504, typ: "timeout"},
		"not JSON":          {path: "/fail/json", status: 500, typ: "internal"},
		"handler's path":    {path: "/fail/path", status: 500, typ: "internal"},
		"handler's param":   {path: "/fail/param", status: 500, typ: "internal"},
		"handler's body":    {path: "/fail/body", status: 500, typ: "internal"},
		"handler's cursor":  {path: "/fail/cursor", status: 500, typ: "internal"},
	} {
		t.Run(name, func(t *testing.T) {
			if test.method == "" {
				test.method = "GET"
			}
			got := r.do(test.method, test.path, test.body, test.header...)
			require.Equal(t, test.status, got.StatusCode, "%s", got.body)
			p := got.problem(t)
			require.Equal(t, "/problems/"+test.typ, p["type"])
			for name, value := range test.want {
				require.Equal(t, value, p[name])
			}
			require.NotContains(t, got.body, "secret")
		})
	}
	got := r.get("/fail/wrapped")
	require.Equal(t, 418, got.StatusCode)
	require.Equal(t, "2", got.Header.Get("Retry-After"))
	_, err := r.try("GET", "/fail/abort", "")
	require.Error(t, err, "the connection is cut")
	require.Equal(t, 200, r.get("/livez").StatusCode, "and the server goes on")
	require.JSONEq(t, `["UA"]`, data(t, r.do("QUERY", "/search", `{"carriers":["UA"]}`)))
}

func data(t *testing.T, got reply) string {
	t.Helper()
	require.Equal(t, 200, got.StatusCode, "%s", got.body)
	var envelope struct{ Data json.RawMessage }
	require.NoError(t, json.Unmarshal([]byte(got.body), &envelope))
	return string(envelope.Data)
}

func next(t *testing.T, got reply) string {
	t.Helper()
	var envelope struct{ Meta struct{ Next string } }
	require.NoError(t, json.Unmarshal([]byte(got.body), &envelope))
	return envelope.Meta.Next
}

func TestQuery_cursors(t *testing.T) {
	dir := t.TempDir()
	register := func(s *edge.Server) {
		s.Query("GET", "/pages", pages, edge.QueryOptions{Params: []string{"cursor", "limit", "upTo"}})
		s.Query("GET", "/other", pages, edge.QueryOptions{Params: []string{"cursor", "limit", "upTo"}})
	}
	r := start(t, edge.Config{Dir: dir}, register)
	first := r.get("/pages")
	require.Equal(t, "[1,2,3]", data(t, first))
	link := strings.TrimSuffix(strings.TrimPrefix(first.Header.Get("Link"), "<"), `>; rel="next"`)
	second := r.get(link)
	require.Equal(t, "[4,5,6]", data(t, second))
	r.shutdown()

	r = start(t, edge.Config{Dir: dir}, register)
	cursor := url.QueryEscape(next(t, second))
	require.Equal(t, "[7]", data(t, r.get("/pages?cursor="+cursor)), "the key survives a restart")
	require.Empty(t, next(t, r.get("/pages?cursor="+cursor)))
	require.Equal(t, "[7]", data(t, r.get("/pages?limit=1&cursor="+cursor)), "the page size may change")
	for _, bad := range []string{
		"/other?cursor=" + cursor,          // another query
		"/pages?upTo=9&cursor=" + cursor,   // other parameters
		"/pages?cursor=" + cursor + "AAAA", // changed
		"/pages?cursor=A", "/pages?cursor=%25", "/pages?cursor=",
	} {
		got := r.get(bad)
		require.Equal(t, 400, got.StatusCode, bad)
		require.Contains(t, got.body, "it is not a cursor of this query; start without one")
	}
	foreign := start(t, edge.Config{CursorKey: []byte(strings.Repeat("k", 32))}, register)
	require.Equal(t, 400, foreign.get("/pages?cursor="+cursor).StatusCode)
}

func TestQuery_etag(t *testing.T) {
	r := startQueries(t)
	got := r.get("/pages")
	tag := got.Header.Get("Etag")
	require.Regexp(t, `^W/"[0-9a-f]{24}"$`, tag)
	same := r.get("/pages", "If-None-Match", `"x", `+tag)
	require.Equal(t, 304, same.StatusCode)
	require.Equal(t, tag, same.Header.Get("Etag"))
	require.Empty(t, same.body)
	require.NotEqual(t, tag, r.get("/pages?limit=2", "If-None-Match", tag).Header.Get("Etag"))
	head := r.do("HEAD", "/pages", "")
	require.Equal(t, tag, head.Header.Get("Etag"))
	require.Equal(t, 200, head.StatusCode)
	require.Empty(t, head.body)
}

func at(topic string, partition int32, next int64) state.Offsets {
	return state.Offsets{{Topic: topic, Partition: partition}: next}
}

func TestQuery_readYourWrites(t *testing.T) {
	low, high := newTide(), newTide()
	low.rise(at("flights", 0, 3))
	high.rise(at("flights", 0, 5).Merge(at("carriers", 0, 2)))
	r := start(t, edge.Config{}, func(s *edge.Server) {
		s.Query("GET", "/both", answer("data"), edge.QueryOptions{Views: []edge.View{low, high}})
	})
	got := r.get("/both")
	require.JSONEq(t, `{"data":"data","meta":{"position":[{"topic":"carriers","partition":0,"nextOffset":2},
		{"topic":"flights","partition":0,"nextOffset":3}],"stale":false}}`, got.body, "what all of the data reflects")
	seen, err := state.ParseToken(got.Header.Get("Consistency-Token"))
	require.NoError(t, err)
	require.Equal(t, at("flights", 0, 5).Merge(at("carriers", 0, 2)), seen, "what some of the data may reflect")

	behind := r.get("/both", "Consistency-Token", at("flights", 0, 4).Token(), "Read-After", at("carriers", 0, 1).Token(), "Prefer", "wait=0")
	require.Equal(t, 503, behind.StatusCode)
	require.Equal(t, "1", behind.Header.Get("Retry-After"))
	p := behind.problem(t)
	require.Equal(t, "/problems/view-behind", p["type"])
	position := func(topic string, next float64) any {
		return map[string]any{"topic": topic, "partition": 0., "nextOffset": next}
	}
	require.Equal(t, []any{position("carriers", 1), position("flights", 4)}, p["required"])
	require.Equal(t, []any{position("flights", 3)}, p["current"])

	// The first view never reflects carriers, but passes over what it does not know only if it knows that: ask for
	// flights alone from here on.
	stale := r.get("/both", "Consistency-Token", at("flights", 0, 9).Token(), "Prefer", "handling=lenient, wait=0")
	require.Equal(t, 200, stale.StatusCode)
	require.Contains(t, stale.body, `"stale":true`)
	require.Equal(t, "wait=0, handling=lenient", stale.Header.Get("Preference-Applied"))
	sent, err := state.ParseToken(stale.Header.Get("Consistency-Token"))
	require.NoError(t, err)
	require.Equal(t, int64(9), sent[state.TopicPartition{Topic: "flights"}], "the client's own token is not lost")

	answered := make(chan reply)
	go func() {
		got, err := r.try("GET", "/both", "", "Consistency-Token", at("flights", 0, 6).Token(), "Prefer", "wait=10")
		if err != nil {
			t.Error(err)
		}
		answered <- got
	}()
	low.rise(at("flights", 0, 6))
	high.rise(at("flights", 0, 7))
	fresh := <-answered
	require.Equal(t, 200, fresh.StatusCode, "%s", fresh.body)
	require.Equal(t, "wait=10", fresh.Header.Get("Preference-Applied"))
	require.Contains(t, fresh.body, `"stale":false`)
}

// gated is a view that is not ready before its channel is closed.
type gated struct {
	*tide
	ready chan struct{}
}

func (g gated) Ready() <-chan struct{} { return g.ready }

// failing is a view that cannot even wait.
type failing struct{ *tide }

func (failing) Wait(context.Context, state.Offsets) error { return errors.New("secret") }

func TestQuery_viewsThatAreNotReady(t *testing.T) {
	view := gated{newTide(), make(chan struct{})}
	r := start(t, edge.Config{}, func(s *edge.Server) {
		s.Query("GET", "/gated", answer(1), edge.QueryOptions{Views: []edge.View{view}})
		s.Query("GET", "/failing", answer(1), edge.QueryOptions{Views: []edge.View{failing{newTide()}}})
	})
	require.Equal(t, "/problems/view-not-ready", r.get("/gated").problem(t)["type"])
	close(view.ready)
	require.Equal(t, 200, r.get("/gated").StatusCode)
	require.Equal(t, 200, r.get("/failing").StatusCode, "nothing to wait for")
	require.Equal(t, 500, r.get("/failing", "Consistency-Token", at("t", 0, 1).Token()).StatusCode)
}
