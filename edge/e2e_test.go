package edge_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed84377926/millrace/edge"
	"github.com/seed84377926/millrace/embedded"
	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/internal/brokertest"
	"github.com/seed84377926/millrace/internal/murmur2"
	"github.com/seed84377926/millrace/state"
)

// event is an event as it stands on the log.
type event struct {
	aggregate, command string
	version            int64
	by                 int64
	partition          int32
	offset             int64
}

// events reads all committed events of the site, per aggregate in order, and checks what must hold for any log: each
// aggregate is in its partition, and its versions are 1, 2, 3….
func (s site) events(t *testing.T) map[string][]event {
	t.Helper()
	client, err := broker.Connect(t.Context(), broker.Config{Brokers: s.brokers})
	require.NoError(t, err)
	defer client.Close()
	found := make(map[string][]event)
	for p := range int32(partitions) {
		_, err := broker.Restore(t.Context(), client, s.topic(), p, 0, func(records []*kgo.Record) error {
			for _, r := range records {
				e := event{aggregate: string(r.Key), partition: r.Partition, offset: r.Offset}
				var payload changed
				if err := json.Unmarshal(r.Value, &payload); err != nil {
					return err
				}
				e.by = payload.By
				for _, h := range r.Headers {
					switch h.Key {
					case "ce_commandid":
						e.command = string(h.Value)
					case "millrace-version":
						e.version, err = strconv.ParseInt(string(h.Value), 10, 64)
						if err != nil {
							return err
						}
					}
				}
				found[e.aggregate] = append(found[e.aggregate], e)
			}
			return nil
		})
		require.NoError(t, err)
	}
	for id, list := range found {
		for i, e := range list {
			require.Equal(t, int64(i)+1, e.version, "versions of %s", id)
			require.Equal(t, murmur2.Partition([]byte(id), partitions), e.partition)
		}
	}
	return found
}

// success is the body of a successful command.
type success struct {
	CommandID   string
	AggregateID string
	Version     int64
	Position    struct {
		Topic     string
		Partition int32
		Offset    int64
	}
	ConsistencyToken string
}

func (r reply) success(t *testing.T) success {
	t.Helper()
	require.Less(t, r.StatusCode, 300, "%s", r.body)
	var s success
	require.NoError(t, json.Unmarshal([]byte(r.body), &s))
	return s
}

func TestCommands_aThousandAtOnce(t *testing.T) {
	on := newSite(t)
	r := start(t, on.config(), on.counters)
	const clients, each, ids = 50, 20, 7
	answers := make([][]success, clients)
	var group sync.WaitGroup
	for c := range clients {
		group.Go(func() {
			for i := range each {
				got, err := r.try("POST", fmt.Sprintf("/v1/counters/id-%d/commands/change", (c+i)%ids), `{"by":1}`)
				if err != nil || got.StatusCode >= 300 {
					t.Errorf("%v %v %s", err, got.Response, got.body)
					return
				}
				answers[c] = append(answers[c], got.success(t))
			}
		})
	}
	group.Wait()
	log := on.events(t)
	total := 0
	for _, list := range log {
		total += len(list)
	}
	require.Equal(t, clients*each, total)
	for _, list := range answers {
		for _, got := range list {
			e := log[got.AggregateID][got.Version-1]
			require.Equal(t, got.CommandID, e.command, "the answer names the event that is on the log")
			require.Equal(t, e.offset, got.Position.Offset)
			require.Equal(t, e.partition, got.Position.Partition)
			require.Equal(t, on.topic(), got.Position.Topic)
			token, err := state.ParseToken(got.ConsistencyToken)
			require.NoError(t, err)
			require.Equal(t, state.Offsets{{Topic: on.topic(), Partition: e.partition}: e.offset + 1}, token)
		}
	}
}

func TestCommands_restartKeepsStateAndAnswers(t *testing.T) {
	on := newSite(t)
	config := on.config()
	config.Dir = t.TempDir()
	r := start(t, config, on.counters)
	first := r.change("a", `{"by":5}`, "Idempotency-Key", `"k"`)
	require.Equal(t, 201, first.StatusCode)
	require.Equal(t, "/v1/counters/a", first.Header.Get("Location"))
	require.Equal(t, `"1"`, first.Header.Get("Etag"))
	rejected := r.change("a", `{"by":-6}`, "Idempotency-Key", "no")
	require.Equal(t, 409, rejected.StatusCode)
	r.shutdown()

	check := func(r *running) {
		again := r.change("a", `{"by":5}`, "Idempotency-Key", "k")
		require.Equal(t, first.StatusCode, again.StatusCode)
		require.Equal(t, first.body, again.body, "byte for byte")
		require.Equal(t, "true", again.Header.Get("Idempotency-Replayed"))
		for _, name := range []string{"Location", "Etag", "Consistency-Token", "Content-Type"} {
			require.Equal(t, first.Header.Get(name), again.Header.Get(name))
		}
		require.Equal(t, rejected.body, r.change("a", `{"by":-6}`, "Idempotency-Key", "no").body)
		require.Equal(t, 422, r.change("a", `{"by":6}`, "Idempotency-Key", "k").StatusCode, "another body")
		require.Equal(t, 409, r.change("a", `{"by":-6}`).StatusCode)
	}
	r = start(t, config, on.counters)
	check(r)
	r.shutdown()

	require.NoError(t, os.RemoveAll(config.Dir)) // the changelog has it all
	r = start(t, config, on.counters)
	check(r)
	require.Equal(t, 200, r.change("a", `{"by":-5}`, "If-Match", `"1"`).StatusCode)
	require.Len(t, on.events(t)["a"], 2)
}

func TestCommands_zombieNeverAcknowledges(t *testing.T) {
	on := newSite(t)
	first := start(t, on.config(), on.counters)
	var acknowledged [2]sync.Map // command id → version, by server
	var second atomic.Pointer[running]
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var clients sync.WaitGroup
	fenced := make(chan struct{})
	for c := range 4 {
		clients.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				for s, r := range []*running{first, second.Load()} {
					if r == nil {
						continue
					}
					got, err := r.try("POST", fmt.Sprintf("/v1/counters/%d/commands/change", (c+i)%5), `{"by":1}`)
					if err != nil {
						t.Error(err)
						return
					}
					if got.StatusCode < 300 {
						answer := got.success(t)
						acknowledged[s].Store(answer.CommandID, answer)
						select {
						case <-fenced:
							if s == 0 {
								t.Errorf("the zombie acknowledged %s", got.body)
							}
						default:
						}
					} else if got.StatusCode != http.StatusServiceUnavailable {
						t.Errorf("%d %s", got.StatusCode, got.body)
					}
				}
			}
		})
	}
	r := start(t, on.config(), on.counters) // ready: it has fenced the first in all partitions
	close(fenced)
	second.Store(r)
	for i := range 20 {
		got := first.change(strconv.Itoa(i), `{"by":-1}`) // would be a rejection: an answer that depends on state
		require.Equal(t, 503, got.StatusCode, "%s", got.body)
		require.Less(t, r.change("own", `{"by":1}`).StatusCode, 300)
	}
	stop()
	clients.Wait()
	require.Eventually(t, func() bool {
		return strings.Contains(first.get("/readyz").body, "owns partition")
	}, 20*time.Second, 5*time.Millisecond)

	log := on.events(t)
	for s := range acknowledged {
		acknowledged[s].Range(func(id, answer any) bool {
			got := answer.(success) //nolint:errcheck // stored above
			require.Equal(t, id, log[got.AggregateID][got.Version-1].command, "what was acknowledged is on the log")
			return true
		})
	}
}

func TestCommands_unknownOutcome(t *testing.T) {
	const endTxn = 26
	for name, applied := range map[string]bool{"committed, but nobody says so": true, "not committed": false} {
		t.Run(name, func(t *testing.T) {
			cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
			require.NoError(t, err)
			t.Cleanup(cluster.Close)
			on := site{cluster.ListenAddrs(), "test"}
			config := on.config()
			r := start(t, config, on.counters)
			require.Equal(t, 201, r.change("a", `{"by":1}`).StatusCode)

			forwarder, err := kgo.NewClient(kgo.SeedBrokers(on.brokers...))
			require.NoError(t, err)
			defer forwarder.Close()
			var cut, applying, done atomic.Bool
			cut.Store(true)
			happened := make(chan struct{}, 100)
			cluster.ControlKey(endTxn, func(request kmsg.Request) (kmsg.Response, error, bool) {
				cluster.KeepControl()
				if !cut.Load() || applying.Swap(false) {
					return nil, nil, false
				}
				if applied && !done.Swap(true) {
					// The owner's request takes another way to the broker, and its own connection is cut.
					applying.Store(true)
					cluster.SleepControl(func() {
						if _, err := forwarder.Broker(0).Request(context.Background(), request); err != nil {
							t.Error(err)
						}
					})
				}
				happened <- struct{}{}
				return nil, errors.New("the connection is cut"), true
			})
			type outcome struct {
				got reply
				err error
			}
			keyed, keyless := make(chan outcome, 1), make(chan outcome, 1)
			send := func(to chan outcome, header ...string) {
				got, err := r.try("POST", "/v1/counters/a/commands/change", `{"by":1}`, header...)
				to <- outcome{got, err}
			}
			go send(keyed, "Idempotency-Key", "k")
			go send(keyless)
			<-happened
			cut.Store(false)
			got, unknown := <-keyed, <-keyless
			require.NoError(t, errors.Join(got.err, unknown.err))
			// The two may have been in one transaction, or the second in the queue while the first was cut.
			if unknown.got.StatusCode == http.StatusServiceUnavailable {
				require.Contains(t, unknown.got.body, `"outcome":"unknown"`)
			}
			if got.got.StatusCode == http.StatusServiceUnavailable {
				require.Contains(t, got.got.body, `"outcome":"not-executed"`)
			}
			again := r.change("a", `{"by":1}`, "Idempotency-Key", "k")
			require.Equal(t, 200, again.StatusCode, "%s", again.body)
			if got.got.StatusCode == http.StatusOK {
				require.Equal(t, got.got.body, again.body)
				require.Equal(t, "true", again.Header.Get("Idempotency-Replayed"))
			}
			count := 0
			for _, e := range on.events(t)["a"] {
				if e.command == again.success(t).CommandID {
					count++
				}
			}
			require.Equal(t, 1, count, "executed once")
		})
	}
}

func TestRun_drains(t *testing.T) {
	on := newSite(t)
	config := on.config()
	config.DrainDelay = 50 * time.Millisecond
	entered, release := make(chan struct{}), make(chan struct{})
	r := start(t, config, func(s *edge.Server) {
		on.counters(s)
		s.Query("GET", "/slow", func(context.Context, *edge.Request) (any, error) {
			close(entered)
			<-release
			return "done", nil
		}, edge.QueryOptions{})
	})
	slow := make(chan reply, 1)
	go func() {
		got, err := r.try("GET", "/slow", "")
		if err != nil {
			t.Error(err)
		}
		slow <- got
	}()
	<-entered
	r.stop()
	require.Eventually(t, func() bool {
		got, err := r.try("GET", "/readyz", "")
		return err != nil || strings.Contains(got.body, "shutting down")
	}, 10*time.Second, time.Millisecond)
	require.Eventually(t, func() bool {
		got, err := r.try("POST", "/v1/counters/a/commands/change", `{"by":1}`)
		if err == nil && got.StatusCode >= 300 {
			t.Errorf("half a command: %d %s", got.StatusCode, got.body)
		}
		return err != nil // no more connections
	}, 10*time.Second, time.Millisecond)
	close(release)
	require.Equal(t, 200, (<-slow).StatusCode, "it was under way")
	require.NoError(t, <-r.done)
	r.done <- nil
}

func TestRun_cutsOffWhatTakesTooLong(t *testing.T) {
	release := make(chan struct{})
	entered := make(chan struct{})
	r := start(t, edge.Config{DrainTimeout: 20 * time.Millisecond}, func(s *edge.Server) {
		s.Query("GET", "/slow", func(context.Context, *edge.Request) (any, error) {
			close(entered)
			<-release
			return "done", nil
		}, edge.QueryOptions{})
	})
	failed := make(chan error, 1)
	go func() {
		_, err := r.try("GET", "/slow", "")
		failed <- err
	}()
	<-entered
	r.shutdown()
	require.Error(t, <-failed)
	close(release)
}

// Without a broker nothing can be committed, and everything else still comes to an end.
func TestRun_brokerGoesAway(t *testing.T) {
	kafka := brokertest.Start(t, embedded.Config{})
	on := site{kafka.Addrs(), "test"}
	config := on.config()
	config.CommitTimeout, config.CommandTimeout = 200*time.Millisecond, time.Second
	r := start(t, config, on.counters)
	require.Equal(t, 201, r.change("a", `{"by":1}`).StatusCode)
	require.NoError(t, kafka.Close())
	for range 2 {
		got := r.change("a", `{"by":1}`)
		require.Equal(t, 503, got.StatusCode)
		require.Contains(t, []any{"unknown", "not-executed"}, got.problem(t)["outcome"])
	}
	require.Equal(t, 503, r.get("/readyz").StatusCode)
	require.Equal(t, 200, r.get("/livez").StatusCode)
	r.shutdown()
}
