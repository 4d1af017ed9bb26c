package e2e

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/internal/brokertest"
	"github.com/seed84377926/millrace/processors"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/views"
)

// indexSite is an application with a table of gates and, in its second version, an index of it.
type indexSite struct {
	*cluster
	app, gates string
	dir        string
	log        *brokertest.Log
	written    state.Offsets
}

func (s *indexSite) topology(t *testing.T, indexed bool) *topology.Topology {
	t.Helper()
	b := topology.NewBuilder(s.app)
	gates := topology.TableOf(b, s.gates, codecs.String, codecs.String, topology.Named("gates"))
	if indexed {
		gates.Index("by-gate", func(_, gate string) (string, bool) { return gate, gate != "none" }, codecs.String)
	}
	top, err := b.Build()
	require.NoError(t, err)
	return top
}

func (s *indexSite) start(t *testing.T, indexed bool) (stop func()) {
	t.Helper()
	app, err := processors.New(s.topology(t, indexed), processors.Config{
		Brokers: s.brokers, Dir: s.dir, Logger: slog.New(slog.NewTextHandler(s.log, nil)), Replication: 1, CommitInterval: 10 * time.Millisecond,
	})
	require.NoError(t, err)
	stop = sync.OnceFunc(inBackground(t, app.Run))
	t.Cleanup(stop)
	return stop
}

// put writes rows: each flight's gate, "" deletes.
func (s *indexSite) put(t *testing.T, gates map[string]string) {
	t.Helper()
	var records []*kgo.Record
	for flight, gate := range gates {
		r := &kgo.Record{Topic: s.gates, Key: []byte(flight)}
		if gate != "" {
			r.Value = []byte(gate)
		}
		records = append(records, r)
	}
	maps.Copy(s.written, s.produceAll(t, records...))
}

// find returns the flights of a gate.
func (s *indexSite) find(t *testing.T, v *views.IndexView[string, string, string], gate string) (flights []string) {
	t.Helper()
	require.NoError(t, v.Wait(t.Context(), s.written))
	for e, err := range v.Find(t.Context(), gate) {
		require.NoError(t, err)
		require.Equal(t, gate, e.Value)
		flights = append(flights, e.Key)
	}
	return flights
}

// An index that is deployed on a table with rows is built from them, kept with them, restored with them and read with
// them.
func TestIndex_isAddedToATableWithRows(t *testing.T) {
	t.Parallel()
	s := &indexSite{
		cluster: openCluster(t), app: unique("app"), gates: unique("gates"), dir: t.TempDir(), log: new(brokertest.Log), written: make(state.Offsets),
	}
	s.createTopics(t, s.gates)
	rows := make(map[string]string)
	of := func(gate string) (flights []string) { // what a scan of all rows finds
		for i := range 60_000 {
			if flight := fmt.Sprintf("F%05d", i); rows[flight] == gate {
				flights = append(flights, flight)
			}
		}
		return flights
	}
	for i := range 60_000 { // more than are built for a commit
		rows[fmt.Sprintf("F%05d", i)] = fmt.Sprint("D", i%6000)
	}
	rows["F00001"] = "none"
	s.put(t, rows)
	stop := s.start(t, false)
	before, closeViews := s.openViews(t, s.topology(t, false).Tables()...)
	require.NoError(t, before.Wait(t.Context(), s.written))
	closeViews()
	stop()

	s.start(t, true)() // hardly begun, if at all
	stop = s.start(t, true)
	tables := s.topology(t, true).Tables()
	vs, closeViews := s.openViews(t, tables...)
	_, err := views.Index(vs, "gates", codecs.String, codecs.String, codecs.String)
	require.ErrorContains(t, err, `view "gates": store is of kind key-value, not index`)
	byGate, err := views.Index(vs, "by-gate", codecs.String, codecs.String, codecs.String)
	require.NoError(t, err)
	require.NoError(t, vs.Wait(t.Context(), s.written)) // a view that has read nothing knows of nothing that lacks
	require.Eventually(t, func() bool {                 // built by all tasks
		for _, err := range byGate.Range(t.Context(), nil, nil) {
			return !errors.Is(err, state.ErrIndexIncomplete)
		}
		return true
	}, waitLong, tick, "log:\n%s", s.log)
	require.Contains(t, s.log.String(), "indexes are built")
	rows["F00002"], rows["F00003"], rows["F00004"] = "D5", "", "none"
	s.put(t, map[string]string{"F00002": "D5", "F00003": "", "F00004": "none"})
	for _, gate := range []string{"D1", "D2", "D3", "D4", "D5", "D5999", "none-such"} {
		require.Equal(t, of(gate), s.find(t, byGate, gate), gate)
	}
	require.Empty(t, s.find(t, byGate, "none"))
	lo, hi := "D10", "D1001"
	var last string
	n := 0
	for e, err := range byGate.Range(t.Context(), &lo, &hi) { // D10, D100, D1000
		require.NoError(t, err)
		require.LessOrEqual(t, last, e.Index+" "+e.Key)
		last = e.Index + " " + e.Key
		n++
	}
	require.Equal(t, 30, n)
	closeViews()
	stop()

	// Everything local is lost.
	s.dir = filepath.Join(t.TempDir(), "new")
	stop = s.start(t, true)
	vs, closeViews = s.openViews(t, tables...)
	byGate, err = views.Index(vs, "by-gate", codecs.String, codecs.String, codecs.String)
	require.NoError(t, err)
	rows["F00005"] = "D2"
	s.put(t, map[string]string{"F00005": "D2"})
	for _, gate := range []string{"D2", "D5"} {
		require.Equal(t, of(gate), s.find(t, byGate, gate), gate)
	}
	closeViews()
	stop()

	only, err := views.Open(t.Context(), views.Config{Brokers: s.brokers, Dir: t.TempDir()}, tables[1])
	require.NoError(t, err)
	defer only.Close()
	_, err = views.Index(only, "by-gate", codecs.String, codecs.String, codecs.String)
	require.ErrorContains(t, err, `view "by-gate": it is an index of store "gates", which was not opened; pass its table to views.Open`)
}
