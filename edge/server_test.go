package edge_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/edge"
	"github.com/seed84377926/millrace/internal/broker"
)

func TestServer_badCommands(t *testing.T) {
	on := newSite(t)
	config := on.config()
	config.MaxBodyBytes = 200
	r := start(t, config, func(s *edge.Server) {
		s.Aggregate(counterType(), edge.AggregateOptions{
			Path: "/v1/counters/{id}", Topic: on.topic(), Partitions: 1,
			ValidID: func(id string) error {
				if strings.HasPrefix(id, "x") {
					return errors.New("it begins with x")
				}
				return nil
			},
		})
	})
	const path = "/v1/counters/a/commands/change"
	for name, test := range map[string]struct {
		method, path, body string
		header             []string
		status             int
		typ                string
		want               map[string]any
		fields             []string // header fields, name and value
	}{
		"no such route":        {path: "/v2", status: 404, typ: "not-found"},
		"trailing slash":       {path: path + "/", status: 404, typ: "not-found"},
		"doubled slash":        {path: "/" + path, status: 404, typ: "not-found"},
		"dots":                 {path: "/v1/../livez", method: "GET", status: 404, typ: "not-found"},
		"wrong method":         {path: path, method: "GET", status: 405, typ: "method-not-allowed", fields: []string{"Allow", "POST"}},
		"made up method":       {path: path, method: "BREW", status: 405, typ: "method-not-allowed"},
		"wrong method, two":    {path: "/livez", method: "DELETE", status: 405, typ: "method-not-allowed", fields: []string{"Allow", "GET, HEAD"}},
		"unknown command":      {path: "/v1/counters/a/commands/reset", status: 404, typ: "unknown-command", want: map[string]any{"commands": []any{"change"}}},
		"id with control":      {path: "/v1/counters/a%0a/commands/change", status: 400, typ: "invalid-parameter"},
		"id not utf-8":         {path: "/v1/counters/%ff/commands/change", status: 400, typ: "invalid-parameter"},
		"id too long":          {path: "/v1/counters/" + strings.Repeat("y", 201) + "/commands/change", status: 400, typ: "invalid-parameter"},
		"id refused":           {path: "/v1/counters/x1/commands/change", status: 400, typ: "invalid-parameter", want: map[string]any{"errors": []any{map[string]any{"parameter": "id", "detail": "it begins with x"}}}},
		"no content type":      {header: []string{"Content-Type", ""}, status: 415, typ: "unsupported-media-type", fields: []string{"Accept-Post", "application/json"}},
		"xml":                  {header: []string{"Content-Type", "text/xml"}, status: 415, typ: "unsupported-media-type"},
		"latin-1":              {header: []string{"Content-Type", "application/json; charset=latin1"}, status: 415, typ: "unsupported-media-type"},
		"gzip":                 {header: []string{"Content-Encoding", "gzip"}, status: 415, typ: "unsupported-encoding"},
		"wants html":           {header: []string{"Accept", "text/html"}, status: 406, typ: "not-acceptable"},
		"refuses json":         {header: []string{"Accept", "application/json;q=0, */*"}, status: 406, typ: "not-acceptable"},
		"too large":            {body: `{"tags":["` + strings.Repeat("x", 200) + `"]}`, status: 413, typ: "body-too-large", want: map[string]any{"limit": 200.}},
		"not json":             {body: `{"by":`, status: 400, typ: "malformed-command"},
		"null":                 {body: `null`, status: 400, typ: "malformed-command"},
		"unknown field":        {body: `{"tags":[],"to":1}`, status: 400, typ: "malformed-command", want: map[string]any{"errors": []any{map[string]any{"pointer": "/to", "detail": "unknown field"}}}},
		"duplicate":            {body: `{"by":1,"by":2}`, status: 400, typ: "malformed-command", want: map[string]any{"errors": []any{map[string]any{"pointer": "/by", "detail": "the field appears twice"}}}},
		"trailing":             {body: `{"by":1}{}`, status: 400, typ: "malformed-command", want: map[string]any{"offset": 8.}},
		"wrong type":           {body: `{"tags":[1]}`, status: 400, typ: "malformed-command", want: map[string]any{"errors": []any{map[string]any{"pointer": "/tags/0", "detail": "want a string, got a number"}}}},
		"overflow":             {body: `{"by":9223372036854775808}`, status: 400, typ: "malformed-command"},
		"invalid, all reasons": {body: `{"by":-101}`, status: 422, typ: "invalid-command", want: map[string]any{"errors": []any{map[string]any{"pointer": "/by", "detail": "at least -100"}, map[string]any{"pointer": "/tags", "detail": "so there"}}}},
		"rule broken":          {body: `{"by":-1}`, status: 409, typ: "counter/negative", want: map[string]any{"code": "negative", "detail": "the counter is at 0"}, fields: []string{"Etag", `"0"`}},
		"precondition":         {header: []string{"If-Match", `"5"`}, status: 412, typ: "version-mismatch", fields: []string{"Etag", `"0"`}},
		"bad precondition":     {header: []string{"If-Match", `5`}, status: 400, typ: "invalid-header"},
		"empty precondition":   {header: []string{"If-None-Match", `,`}, status: 400, typ: "invalid-header"},
		"bad key":              {header: []string{"Idempotency-Key", "ä"}, status: 400, typ: "invalid-header"},
		"empty key":            {header: []string{"Idempotency-Key", `""`}, status: 400, typ: "invalid-header"},
		"long key":             {header: []string{"Idempotency-Key", strings.Repeat("k", 256)}, status: 400, typ: "invalid-header"},
		"panic":                {body: `{"panic":true}`, status: 500, typ: "internal"},
		"bad metrics path":     {path: "/metrics/x", method: "GET", status: 404, typ: "not-found"},
		"no such report":       {path: "/debug/state/x", method: "GET", status: 404, typ: "not-found"},
	} {
		t.Run(name, func(t *testing.T) {
			if test.method == "" {
				test.method = "POST"
			}
			if test.path == "" {
				test.path = path
			}
			if test.body == "" && test.method == "POST" {
				test.body = `{"by":1}`
			}
			got := r.do(test.method, test.path, test.body, test.header...)
			require.Equal(t, test.status, got.StatusCode, "%s", got.body)
			p := got.problem(t)
			require.Equal(t, "/problems/"+test.typ, p["type"])
			for name, value := range test.want {
				require.Equal(t, value, p[name])
			}
			for i := 0; i < len(test.fields); i += 2 {
				require.Equal(t, test.fields[i+1], got.Header.Get(test.fields[i]))
			}
			require.NotContains(t, got.body, "secret")
		})
	}
	require.Equal(t, 201, r.change("a", `{"by":1}`).StatusCode, "none of these left an event")
}

func TestServer_identifiesRequests(t *testing.T) {
	var log lockedBuffer
	r := start(t, edge.Config{Logger: slog.New(slog.NewJSONHandler(&log, nil))}, func(*edge.Server) {})
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	got := r.get("/livez?token=secret", "X-Request-Id", "r-1", "Traceparent", trace)
	require.Equal(t, "r-1", got.Header.Get("X-Request-Id"))
	require.Equal(t, trace, got.Header.Get("Traceparent"))
	require.Equal(t, "nosniff", got.Header.Get("X-Content-Type-Options"))
	require.Contains(t, log.String(), `"msg":"request","method":"GET","path":"/livez","route":"/livez","status":200`)
	require.Contains(t, log.String(), `"requestId":"r-1","traceId":"0af7651916cd43dd8448eb211c80319c"`)
	require.NotContains(t, log.String(), "secret")

	for _, bad := range []string{
		"00-0-0-00", "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"00-00000000000000000000000000000000-b7ad6b7169203331-01", "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	} {
		got = r.get("/livez", "X-Request-Id", "with space", "Traceparent", bad)
		require.Len(t, got.Header.Get("X-Request-Id"), 26)
		require.Regexp(t, `^00-[0-9a-f]{32}-[0-9a-f]{16}-00$`, got.Header.Get("Traceparent"))
		require.NotEqual(t, bad, got.Header.Get("Traceparent"))
	}
}

func TestServer_operation(t *testing.T) {
	ready := errors.New("tide is out")
	var mu sync.Mutex
	on := newSite(t)
	r := launch(t, on.config(), func(s *edge.Server) {
		on.counters(s)
		s.Check("tide", func(context.Context) error { mu.Lock(); defer mu.Unlock(); return ready })
		s.Debug("answer", func() any { return map[string]int{"is": 42} })
		s.Debug("bad", func() any { return func() {} })
	})
	require.JSONEq(t, `{"status":"alive"}`, r.get("/livez").body)
	var p map[string]any
	require.Eventually(t, func() bool {
		got := r.get("/readyz?verbose")
		p = got.problem(t)
		return p["detail"] == "tide: tide is out"
	}, 20*time.Second, 2*time.Millisecond)
	require.Equal(t, []any{
		map[string]any{"name": "accepting", "ready": true},
		map[string]any{"name": "aggregate counter", "ready": true},
		map[string]any{"name": "tide", "ready": false, "detail": "tide is out"},
	}, p["checks"])
	require.Len(t, r.get("/readyz").problem(t)["checks"], 1, "only the failing ones")
	mu.Lock()
	ready = nil
	mu.Unlock()
	require.JSONEq(t, `{"status":"ready"}`, r.get("/readyz").body)
	require.Contains(t, r.get("/readyz?verbose").body, `"name":"tide"`)

	require.Equal(t, 201, r.change("a", `{"by":1}`).StatusCode)
	require.JSONEq(t, `{"is":42}`, r.get("/debug/state/answer").body)
	require.Equal(t, 500, r.get("/debug/state/bad").StatusCode)
	owners := r.get("/debug/state/owners").body
	require.Contains(t, owners, `{"counter":[{"partition":0,"status":"serving"`)

	r.get("/v1/counters/1/commands/change")
	metrics := r.get("/metrics").body
	for _, want := range []string{
		`millrace_edge_request_duration_seconds_count{method="POST",route="/v1/counters/{id}/commands/{command}",status="201"} 1`,
		`millrace_edge_request_duration_seconds_count{method="GET",route="none",status="405"} 1`,
		`millrace_edge_command_batch_size_count{aggregate="counter"} 1`,
		`millrace_edge_owner_state{aggregate="counter",partition="2",state="serving"} 1`,
		`millrace_edge_owner_queue_commands{aggregate="counter",partition="0"} 0`,
	} {
		require.True(t, strings.Contains(metrics, want), want) //nolint:testifylint // all of the metrics would not help
	}
}

func TestServer_reportsMistakesBeforeItServes(t *testing.T) {
	server, err := edge.New(t.Context(), edge.Config{Name: "test", Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	require.NoError(t, err)
	server.Aggregate(counterType(), edge.AggregateOptions{Path: "/v1/{id}/x"})
	server.Aggregate(counterType(), edge.AggregateOptions{Path: "/v1/a/{id}", Topic: "t", Partitions: 1})
	server.Query("POST", "/v1/b", nil, edge.QueryOptions{})
	server.Query("GET", "/v1/{b", answer(1), edge.QueryOptions{})
	server.Query("GET", "/livez", answer(1), edge.QueryOptions{})
	server.Query("GET", "c", answer(1), edge.QueryOptions{})
	server.Debug("d", func() any { return nil })
	server.Debug("d", func() any { return nil })
	err = server.Run(t.Context())
	for _, want := range []string{
		"server_test.go:", `AggregateOptions.Path is "/v1/{id}/x"; give a path that ends with /{id}`, "AggregateOptions.Topic is empty",
		"AggregateOptions.Partitions is 0", `aggregate "counter" is served twice`, "needs a broker; set Config.Brokers",
		"the method of a query is GET or QUERY", "has no function", "unbalanced braces", "GET /livez is registered twice",
		"path must start with a slash", `debug report "d" is registered twice`,
	} {
		require.ErrorContains(t, err, want)
	}
	require.ErrorContains(t, server.Run(t.Context()), "Run was called twice")
	server.Close()
}

func TestNew_reportsEverythingThatIsWrong(t *testing.T) {
	_, err := edge.New(t.Context(), edge.Config{Name: "Test", CursorKey: []byte("short"), MaxBatch: -1, DrainDelay: -1, DefaultWait: time.Hour})
	for _, want := range []string{
		`edge: Config.Name is "Test"`, "Config.Dir is empty", "Config.CursorKey has 5 bytes", "Config.MaxBatch is negative",
		"Config.DrainDelay is -1ns", "Config.DefaultWait is 1h0m0s, more than MaxWait",
	} {
		require.ErrorContains(t, err, want)
	}

	server, err := edge.New(t.Context(), edge.Config{Name: "test", Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	require.NoError(t, err)
	defer server.Close()
	_, err = edge.New(t.Context(), edge.Config{Name: "test", Dir: t.TempDir(), Listen: server.Addr().String()})
	require.ErrorContains(t, err, "stop what uses the address or set Config.Listen")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = edge.New(ctx, edge.Config{Name: "test", Dir: t.TempDir(), Listen: "127.0.0.1:0", Brokers: []string{"127.0.0.1:1"}})
	require.ErrorIs(t, err, broker.ErrUnreachable)
}

func TestRun_refusesTopicsThatAreNotWhatTheyMustBe(t *testing.T) {
	on := newSite(t)
	client, err := broker.Connect(t.Context(), broker.Config{Brokers: on.brokers})
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, client.EnsureTopics(t.Context(), broker.TopicSpec{Name: on.topic(), Partitions: 5, Kind: broker.EventLog}))

	config := on.config()
	config.Dir, config.Listen = t.TempDir(), "127.0.0.1:0"
	server, err := edge.New(t.Context(), config)
	require.NoError(t, err)
	on.counters(server)
	err = server.Run(t.Context())
	require.ErrorContains(t, err, on.topic())
	require.ErrorContains(t, err, "5 partitions")
}
