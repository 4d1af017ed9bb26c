package broker_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed84377926/millrace/aggregates"
	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/edge"
	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/processors"
	"github.com/seed84377926/millrace/security"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/views"
)

// The names that docs/security.md gives to an application and a cluster.
const (
	aclApp     = "airport"
	aclCluster = "CLUSTER"
)

// documentedACLs reads the table below a heading of docs/security.md, which so cannot promise what does not work.
func documentedACLs(t *testing.T, heading string) (acls []kfake.ACL) {
	t.Helper()
	text, err := os.ReadFile("../../docs/security.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(text), "\n### "+heading+"\n")
	require.True(t, found, "there is no heading %q", heading)
	section, _, _ = strings.Cut(section, "\n### ")
	rows := regexp.MustCompile("(?m)^\\| (topic|group|transactional id) \\| `(\\S+)` \\| (literal|prefixed) \\| ([A-Za-z, ]+) \\|").FindAllStringSubmatch(section, -1)
	require.NotEmpty(t, rows)
	for _, row := range rows {
		for operation := range strings.SplitSeq(row[4], ", ") {
			op, err := kmsg.ParseACLOperation(operation)
			require.NoError(t, err)
			kind, err := kmsg.ParseACLResourceType(strings.ReplaceAll(row[1], " ", ""))
			require.NoError(t, err)
			pattern, err := kmsg.ParseACLResourcePatternType(row[3])
			require.NoError(t, err)
			acls = append(acls, kfake.ACL{Resource: kind, Name: row[2], Pattern: pattern, Operation: op, Allow: true})
		}
	}
	return acls
}

// aclSite is a cluster that allows an application, and the user of the same name, what acls say.
type aclSite struct {
	app      string
	brokers  []string
	security security.Config // of the user
	root     *broker.Client  // may do anything
	owner    access          // of root
}

// access is a way to connect.
type access struct {
	brokers  []string
	security security.Config
}

// newSite makes a site that allows what acls say.
type newSite func(t *testing.T, acls []kfake.ACL) aclSite

// fakeSite is a cluster of its own for every site.
func fakeSite(t *testing.T, acls []kfake.ACL) aclSite {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.ClusterID(aclCluster), kfake.EnableSASL(), kfake.EnableACLs(),
		kfake.GroupMinSessionTimeout(10*time.Millisecond),
		kfake.Superuser("PLAIN", "root", "root"), kfake.User("SCRAM-SHA-512", aclApp, "secret", acls...))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	s := aclSite{
		app:      aclApp,
		brokers:  cluster.ListenAddrs(),
		security: security.Config{Mechanism: security.ScramSHA512, User: aclApp, Password: "secret"},
		owner:    access{cluster.ListenAddrs(), security.Config{Mechanism: security.Plain, User: "root", Password: "root"}},
	}
	s.connectRoot(t)
	return s
}

func (s *aclSite) connectRoot(t *testing.T) {
	t.Helper()
	var err error
	s.root, err = broker.Connect(t.Context(), broker.Config{Brokers: s.owner.brokers, Security: s.owner.security})
	require.NoError(t, err)
	t.Cleanup(s.root.Close)
}

func (s aclSite) topology(t *testing.T) *topology.Topology {
	t.Helper()
	b := topology.NewBuilder(s.app)
	events := topology.Source(b, s.events(), codecs.String, codecs.String)
	events.To(s.alerts(), codecs.String, codecs.String)
	events.GroupByKey().Count("by-key")
	events.Rekey(func(_, v string) string { return v }).
		Repartition("words", codecs.String, codecs.String).
		GroupByKey().Count("by-word")
	top, err := b.Build()
	require.NoError(t, err)
	return top
}

func (s aclSite) events() string { return s.app + ".flight.events" }
func (s aclSite) alerts() string { return s.app + ".alerts" }

// fill makes the topics of others and writes a record.
func (s aclSite) fill(t *testing.T) {
	t.Helper()
	require.NoError(t, s.root.EnsureTopics(t.Context(),
		broker.TopicSpec{Name: s.events(), Partitions: 1, Kind: broker.EventLog},
		broker.TopicSpec{Name: s.alerts(), Partitions: 1, Kind: broker.EventLog}))
	kafka, err := kgo.NewClient(s.root.Options()...)
	require.NoError(t, err)
	defer kafka.Close()
	require.NoError(t, kafka.ProduceSync(t.Context(), &kgo.Record{Topic: s.events(), Key: []byte("k"), Value: []byte("v")}).FirstErr())
}

// process runs the application until it has written everything, or returns the refusal.
func (s aclSite) process(t *testing.T) error {
	t.Helper()
	top := s.topology(t)
	refused := make(chan error, 1)
	app, err := processors.New(top, processors.Config{
		Brokers: s.brokers, Security: s.security, Dir: t.TempDir(), CommitInterval: 10 * time.Millisecond, SessionTimeout: time.Second,
		Hooks: processors.Hooks{TaskFailed: func(_ string, _ int32, err error, _ bool) {
			select {
			case refused <- err:
			default:
			}
		}},
	})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- app.Run(ctx) }()
	written := func() bool {
		outputs := []string{s.alerts()}
		for _, table := range top.Tables() {
			outputs = append(outputs, table.Topic)
		}
		return !slices.ContainsFunc(outputs, func(topic string) bool {
			end, err := s.root.CommittedEnd(ctx, topic, 0)
			return err != nil || end == 0
		})
	}
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case err := <-refused:
			cancel()
			return errors.Join(err, <-ended)
		case <-ticker.C:
			if app.State() == processors.Running && written() {
				cancel()
				return <-ended
			}
		}
	}
}

// view reads the table by-key.
func (s aclSite) view(t *testing.T) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	table, ok := s.topology(t).Table("by-key")
	require.True(t, ok)
	var log syncBuffer
	vs, err := views.Open(ctx, views.Config{
		Brokers: s.brokers, Security: s.security, Dir: t.TempDir(), Logger: slog.New(slog.NewTextHandler(&log, nil)),
	}, table)
	if err != nil {
		return err
	}
	counts, err := views.KeyValue(vs, "by-key", codecs.String, codecs.Int64)
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- vs.Run(ctx) }()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for ready := false; !ready; {
		select {
		case err := <-ended:
			return err
		case <-ticker.C:
			if text := log.String(); strings.Contains(text, "AUTHORIZATION_FAILED") {
				cancel()
				return errors.Join(errors.New(text), <-ended)
			}
		case <-vs.Ready():
			ready = true
		}
	}
	n, ok, err := counts.Get(ctx, "k")
	require.NoError(t, err)
	require.True(t, ok)
	require.EqualValues(t, 1, n)
	cancel()
	return <-ended
}

// weakened returns acls with the i-th taken back to Describe.
func weakened(acls []kfake.ACL, i int) []kfake.ACL {
	acls = slices.Clone(acls)
	acls[i].Operation = kmsg.ACLOperationDescribe
	return acls
}

// requireDenied checks that err says that the permission is missing, and to whom.
func (s aclSite) requireDenied(t *testing.T, err error, acl kfake.ACL) {
	t.Helper()
	require.ErrorContains(t, err, "AUTHORIZATION_FAILED")
	operation := map[kmsg.ACLOperation]string{
		kmsg.ACLOperationCreate: "Create", kmsg.ACLOperationDescribeConfigs: "DescribeConfigs",
		kmsg.ACLOperationRead: "Read", kmsg.ACLOperationWrite: "Write",
	}[acl.Operation]
	require.ErrorContains(t, err, "allow "+operation+" on ")
	require.ErrorContains(t, err, " to User:"+s.app)
}

// describeName names a permission for a subtest.
func describeName(acl kfake.ACL) string {
	return strings.Join([]string{acl.Resource.String(), acl.Name, acl.Operation.String()}, " ")
}

func TestACLs_processors(t *testing.T) { testProcessorsACLs(t, fakeSite) }

func testProcessorsACLs(t *testing.T, newSite newSite) {
	acls := documentedACLs(t, "processors")
	run := func(t *testing.T, acls []kfake.ACL) (aclSite, error) {
		s := newSite(t, acls)
		s.fill(t)
		return s, s.process(t)
	}
	_, err := run(t, acls)
	require.NoError(t, err, "what is documented suffices")
	for i, acl := range acls {
		t.Run(describeName(acl), func(t *testing.T) {
			s, err := run(t, weakened(acls, i))
			if err == nil { // it does not verify what it has just created; the next start does
				err = s.process(t)
			}
			s.requireDenied(t, err, acl)
		})
	}
	t.Run("nothing at all", func(t *testing.T) {
		s, err := run(t, nil)
		require.ErrorContains(t, err, `topic "`+s.events()+`"`)
		require.ErrorContains(t, err, "TOPIC_AUTHORIZATION_FAILED")
		require.ErrorContains(t, err, "allow Describe on it to User:"+s.app)
	})
}

func TestACLs_views(t *testing.T) { testViewsACLs(t, fakeSite) }

func testViewsACLs(t *testing.T, newSite newSite) {
	acls := documentedACLs(t, "views")
	run := func(t *testing.T, acls []kfake.ACL) (aclSite, error) {
		s := newSite(t, acls)
		s.fill(t)
		owner := s
		owner.brokers, owner.security = s.owner.brokers, s.owner.security
		require.NoError(t, owner.process(t))
		return s, s.view(t)
	}
	_, err := run(t, acls)
	require.NoError(t, err)
	for i, acl := range acls {
		t.Run(describeName(acl), func(t *testing.T) {
			s, err := run(t, weakened(acls, i))
			s.requireDenied(t, err, acl)
		})
	}
}

type (
	ship   struct{ Sailed bool }
	sail   struct{}
	sailed struct{}
)

// syncBuffer is a log to look into.
type syncBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// command runs an edge until it has carried out a command or reported a refusal.
func (s aclSite) command(t *testing.T) error {
	t.Helper()
	var log syncBuffer
	server, err := edge.New(t.Context(), edge.Config{
		Name: s.app, Brokers: s.brokers, Security: s.security, Dir: t.TempDir(), Listen: "127.0.0.1:0",
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	require.NoError(t, err)
	server.Aggregate(aggregates.New("flight", ship{}, codecs.JSON[ship]()).
		Command("sail", func(ship, sail) ([]aggregates.Event, error) { return []aggregates.Event{sailed{}}, nil }).
		On("Sailed", func(s ship, _ sailed) ship { s.Sailed = true; return s }),
		edge.AggregateOptions{Path: "/v1/flights/{id}", Topic: s.events(), Partitions: 1})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-ticker.C:
			if text := log.String(); strings.Contains(text, "AUTHORIZATION_FAILED") {
				cancel()
				return errors.Join(errors.New(text), <-ended)
			}
			response, err := client.Post("http://"+server.Addr().String()+"/v1/flights/1/commands/sail", "application/json", strings.NewReader("{}"))
			if err != nil {
				continue
			}
			response.Body.Close()
			if response.StatusCode < 300 {
				cancel()
				return <-ended
			}
		}
	}
}

func TestACLs_edge(t *testing.T) { testEdgeACLs(t, fakeSite) }

func testEdgeACLs(t *testing.T, newSite newSite) {
	acls := documentedACLs(t, "edge")
	require.NoError(t, newSite(t, acls).command(t))
	for i, acl := range acls {
		t.Run(describeName(acl), func(t *testing.T) {
			s := newSite(t, weakened(acls, i))
			err := s.command(t)
			if err == nil { // it neither verifies nor restores what it has just created; the next start does
				err = s.command(t)
			}
			s.requireDenied(t, err, acl)
		})
	}
}
