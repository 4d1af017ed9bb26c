package edge_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/aggregates"
	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/edge"
	"github.com/seed84377926/millrace/embedded"
	"github.com/seed84377926/millrace/internal/brokertest"
	"github.com/seed84377926/millrace/state"
)

// The domain of these tests: a counter that is never negative.
type (
	counter struct {
		Value int64 `json:"value"`
	}
	change struct {
		By    int64    `json:"by"`
		Tags  []string `json:"tags"`
		Panic bool     `json:"panic"`
	}
	changed struct {
		By int64 `json:"by"`
	}
)

func (c change) Validate() error {
	if c.By < -100 {
		return errors.Join(aggregates.Invalid("/by", "at least -100"), aggregates.Invalid("/tags", "so there"))
	}
	return nil
}

func counterType() *aggregates.Aggregate[counter] {
	return aggregates.New("counter", counter{}, codecs.JSON[counter]()).
		Command("change", func(s counter, c change) ([]aggregates.Event, error) {
			if c.Panic {
				panic("secret")
			}
			if s.Value+c.By < 0 {
				return nil, aggregates.Conflict("negative", "the counter is at %d", s.Value)
			}
			return []aggregates.Event{changed{c.By}}, nil
		}).
		On("Changed", func(s counter, e changed) counter { s.Value += e.By; return s })
}

// site is a cluster and an application on it that nobody else uses. MILLRACE_KAFKA makes the tests run on a real
// broker.
type site struct {
	brokers []string
	name    string
}

func newSite(t *testing.T) site {
	t.Helper()
	return site{brokertest.Addrs(t, embedded.Config{}), "t" + strings.ToLower(rand.Text())}
}

func (s site) config() edge.Config { return edge.Config{Name: s.name, Brokers: s.brokers} }

func (s site) topic() string { return s.name + ".events" }

const partitions = 3

// counters serves the counters.
func (s site) counters(server *edge.Server) {
	server.Aggregate(counterType(), edge.AggregateOptions{Path: "/v1/counters/{id}", Topic: s.topic(), Partitions: partitions})
}

// running is a server under test.
type running struct {
	t      *testing.T
	server *edge.Server
	client *http.Client
	stop   context.CancelFunc
	done   chan error
	once   sync.Once
}

// start runs a server that was registered by register, and waits until it is ready.
func start(t *testing.T, config edge.Config, register func(*edge.Server)) *running {
	t.Helper()
	r := launch(t, config, register)
	require.Eventually(t, func() bool { return r.get("/readyz").StatusCode == http.StatusOK }, 20*time.Second, 2*time.Millisecond, "ready")
	return r
}

// launch does not wait.
func launch(t *testing.T, config edge.Config, register func(*edge.Server)) *running {
	t.Helper()
	if config.Name == "" {
		config.Name = "test"
	}
	if config.Dir == "" {
		config.Dir = t.TempDir()
	}
	config.Listen = "127.0.0.1:0"
	if config.Logger == nil {
		config.Logger = logOnFailure(t)
	}
	server, err := edge.New(t.Context(), config)
	require.NoError(t, err)
	register(server)
	ctx, stop := context.WithCancel(context.Background())
	r := &running{t: t, server: server, stop: stop, done: make(chan error, 1), client: &http.Client{
		Timeout:       time.Minute,
		Transport:     &http.Transport{MaxIdleConnsPerHost: 100},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	go func() { r.done <- server.Run(ctx) }()
	t.Cleanup(r.shutdown)
	return r
}

func (r *running) shutdown() {
	r.once.Do(func() {
		r.client.CloseIdleConnections()
		r.stop()
		require.NoError(r.t, <-r.done)
	})
}

// reply is an answer that was read to its end.
type reply struct {
	*http.Response
	body string
}

func (r reply) problem(t *testing.T) map[string]any {
	t.Helper()
	require.Equal(t, "application/problem+json", r.Header.Get("Content-Type"), "%s", r.body)
	var p map[string]any
	require.NoError(t, json.Unmarshal([]byte(r.body), &p))
	require.InDelta(t, r.StatusCode, p["status"], 0)
	require.NotEmpty(t, p["title"])
	require.Equal(t, r.Header.Get("X-Request-Id"), p["requestId"])
	require.Contains(t, r.Header.Get("Traceparent"), p["traceId"])
	return p
}

func (r *running) url(path string) string { return "http://" + r.server.Addr().String() + path }

// try is do for servers that may be gone.
func (r *running) try(method, path, body string, header ...string) (reply, error) {
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	request, err := http.NewRequestWithContext(context.Background(), method, r.url(path), content)
	if err != nil {
		return reply{}, err
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		if header[i+1] == "" {
			request.Header.Del(header[i])
			continue
		}
		request.Header.Set(header[i], header[i+1])
	}
	response, err := r.client.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	return reply{response, string(data)}, err
}

// do sends a request with header fields given as pairs; an empty value removes a field.
func (r *running) do(method, path, body string, header ...string) reply {
	r.t.Helper()
	got, err := r.try(method, path, body, header...)
	require.NoError(r.t, err)
	return got
}

func (r *running) get(path string, header ...string) reply {
	r.t.Helper()
	return r.do("GET", path, "", header...)
}

func (r *running) change(id, body string, header ...string) reply {
	r.t.Helper()
	return r.do("POST", "/v1/counters/"+id+"/commands/change", body, header...)
}

// logOnFailure returns a logger whose output is shown if the test fails.
func logOnFailure(t *testing.T) *slog.Logger {
	var log lockedBuffer
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		for line := range strings.Lines(log.String()) {
			if !strings.Contains(line, "msg=request ") {
				t.Log(strings.TrimSuffix(line, "\n"))
			}
		}
	})
	return slog.New(slog.NewTextHandler(&log, nil))
}

// lockedBuffer is a log that tests can read.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// answer is a query that answers v.
func answer(v any) edge.QueryFunc {
	return func(context.Context, *edge.Request) (any, error) { return v, nil }
}

var _ edge.View = (*tide)(nil)

// tide is a view that is where tests put it.
type tide struct {
	mu       sync.Mutex
	position state.Offsets
	changed  chan struct{}
}

func newTide() *tide { return &tide{position: state.Offsets{}, changed: make(chan struct{})} }

func (v *tide) rise(to state.Offsets) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.position = v.position.Merge(to)
	close(v.changed)
	v.changed = make(chan struct{})
}

func (v *tide) Position() state.Offsets {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.position.Merge(nil)
}

func (v *tide) Wait(ctx context.Context, required state.Offsets) error {
	for {
		v.mu.Lock()
		covered, changed := v.position.Covers(required), v.changed
		v.mu.Unlock()
		if covered {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
