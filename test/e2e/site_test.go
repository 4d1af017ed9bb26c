package e2e

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/internal/brokertest"
	"github.com/seed84377926/millrace/processors"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
)

// site is one application with one input, two outputs and a table, one partition each, and what it reported.
type site struct {
	*cluster
	app, in, seen, out string
	group              string
	dir                string
	log                *brokertest.Log

	mu struct {
		sync.Mutex
		skipped  []processors.Skipped
		failures int
	}
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{
		cluster: openCluster(t), app: unique("app"), in: unique("in"), seen: unique("seen"), out: unique("out"),
		dir: t.TempDir(), log: &brokertest.Log{},
	}
	s.group = s.app + "-counts"
	s.create(t, s.in, s.seen, s.out)
	return s
}

// create makes topics with one partition.
func (s *site) create(t *testing.T, topics ...string) {
	t.Helper()
	s.createSized(t, 1, topics...)
}

func (s *site) table() string { return s.app + "-counts-table" }

// topology sends every value to seen, counts it, and then sends the result of f to out: when f fails, the record has
// already been sent and counted.
func (s *site) topology(t *testing.T, f func(string) string, opts ...topology.BuilderOption) *topology.Topology {
	t.Helper()
	b := topology.NewBuilder(s.app, opts...)
	lines := topology.Source(b, s.in, codecs.String, codecs.String)
	lines.To(s.seen, codecs.String, codecs.String)
	lines.GroupByKey().Count("counts")
	lines.MapValues(f, topology.Named("risky")).To(s.out, codecs.String, codecs.String)
	top, err := b.Build()
	require.NoError(t, err)
	return top
}

// config returns a configuration whose hooks record what the application reports.
func (s *site) config(t *testing.T) processors.Config {
	t.Helper()
	return processors.Config{
		Brokers: s.brokers, Dir: s.dir, CommitInterval: 100 * time.Millisecond, ProcessingRetries: 2, SessionTimeout: 6 * time.Second,
		Logger: s.log.Logger(),
		Hooks: processors.JoinHooks(
			processors.Hooks{Skipped: func(skipped processors.Skipped) {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.mu.skipped = append(s.mu.skipped, skipped)
			}},
			processors.Hooks{TaskFailed: func(string, int32, error, bool) {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.mu.failures++
			}},
		),
	}
}

// skippedOffsets returns the offsets of the records that were skipped, in the order of the commits.
func (s *site) skippedOffsets() (offsets []int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, skipped := range s.mu.skipped {
		offsets = append(offsets, skipped.Record.Offset)
	}
	return offsets
}

// start runs the application until stop is called.
func (s *site) start(t *testing.T, top *topology.Topology, cfg processors.Config) (app *processors.App, stop func()) {
	t.Helper()
	app, err := processors.New(top, cfg)
	require.NoError(t, err)
	return app, inBackground(t, app.Run)
}

// fail runs the application until it fails.
func (s *site) fail(t *testing.T, top *topology.Topology, cfg processors.Config) error {
	t.Helper()
	app, err := processors.New(top, cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err = app.Run(ctx)
	require.NoError(t, ctx.Err(), "it did not end by itself; log:\n%s", s.log)
	require.Error(t, err)
	require.Equal(t, processors.Failed, app.State())
	return err
}

// send produces records with the key k and these values.
func (s *site) send(t *testing.T, values ...string) {
	t.Helper()
	records := make([]*kgo.Record, len(values))
	for i, v := range values {
		records[i] = &kgo.Record{Topic: s.in, Key: []byte("k"), Value: []byte(v)}
	}
	require.NoError(t, s.kafka.ProduceSync(t.Context(), records...).FirstErr())
}

// await waits until the group has committed the offset of the input.
func (s *site) await(t *testing.T, offset int64) {
	t.Helper()
	require.Eventually(t, func() bool { return s.committed(t) >= offset }, waitLong, tick, "log:\n%s", s.log)
}

// committed returns the offset that the group has committed of the input, -1 if there is none.
func (s *site) committed(t *testing.T) int64 {
	t.Helper()
	offsets, err := s.admin.FetchOffsets(t.Context(), s.group)
	if at, ok := offsets.Lookup(s.in, 0); err == nil && ok {
		return at.At
	}
	return -1
}

// waitLong bounds a wait for something that happens soon, tick is how often to look.
const (
	waitLong = 40 * time.Second
	tick     = 5 * time.Millisecond
)

// eventually waits until the condition holds. It calls the condition on the goroutine of the test, so that a helper in
// it that fails ends the test with its own message; require.Eventually would only say that the condition was never
// satisfied.
func eventually(t *testing.T, condition func() bool, message ...any) {
	t.Helper()
	timeout := time.NewTimer(waitLong)
	defer timeout.Stop()
	for !condition() {
		select {
		case <-timeout.C:
			require.Fail(t, "the condition was never satisfied", message...)
		case <-time.After(4 * tick):
		}
	}
}

// count returns the number of records with the key k, as the changelog has it.
func (s *site) count(t *testing.T) (n int64) {
	t.Helper()
	for _, r := range s.read(t, s.table()) {
		if store, key, ok := state.SplitRowKey(r.Key); !ok || store != "counts" || string(key) != "k" {
			continue
		}
		_, value, err := state.SplitRowValue(r.Value)
		require.NoError(t, err)
		n, err = codecs.Int64.Decode(value)
		require.NoError(t, err)
	}
	return n
}

// recreate deletes a topic and creates it again, empty.
func (s *site) recreate(t *testing.T, topic string) {
	t.Helper()
	s.remove(t, topic)
	s.renew(t, topic)
}

// renew creates a topic in the place of one that was deleted.
func (s *site) renew(t *testing.T, topic string) {
	t.Helper()
	configs := make(map[string]*string)
	if topic == s.table() {
		compact := "compact"
		configs["cleanup.policy"] = &compact
	}
	require.Eventually(t, func() bool {
		_, err := s.admin.CreateTopic(t.Context(), 1, 1, configs, topic)
		return err == nil
	}, 20*time.Second, 20*time.Millisecond)
	// A client that knows the old topic never writes to the new one.
	kafka, err := kgo.NewClient(kgo.SeedBrokers(s.brokers...), kgo.ProducerLinger(0))
	require.NoError(t, err)
	t.Cleanup(kafka.Close)
	s.kafka, s.admin = kafka, kadm.NewClient(kafka)
}

func (s *site) remove(t *testing.T, topic string) {
	t.Helper()
	_, err := s.admin.DeleteTopic(t.Context(), topic)
	require.NoError(t, err)
}

// alter sets a configuration of a topic.
func (s *site) alter(t *testing.T, topic, key, value string) {
	t.Helper()
	responses, err := s.admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: key, Value: &value}}, topic)
	require.NoError(t, err)
	for _, r := range responses {
		require.NoError(t, r.Err)
	}
}

// launch starts an application that is expected to end by itself, see ended.
func (s *site) launch(t *testing.T, top *topology.Topology, cfg processors.Config) (done <-chan error) {
	t.Helper()
	app, err := processors.New(top, cfg)
	require.NoError(t, err)
	result := make(chan error, 1)
	go func() { result <- app.Run(t.Context()) }()
	return result
}

// ended waits until a launched application has ended by itself and returns why.
func (s *site) ended(t *testing.T, done <-chan error) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(time.Minute):
		t.Fatalf("it did not end by itself; log:\n%s", s.log)
		return nil
	}
}
