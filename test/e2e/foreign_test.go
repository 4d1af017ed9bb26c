package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/processors"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/views"
)

// joins is an application of foreign-key joins, and what is in its sources. Flights refer to airlines, airlines to
// countries, and flights to flights.
type joins struct {
	*cluster
	top                          *topology.Topology
	flights, airlines, countries string // topics
	rows                         map[string]map[string]string
	offsets                      state.Offsets
	dice                         *rand.Rand
}

func newJoins(t *testing.T, seed uint64) *joins {
	t.Helper()
	j := &joins{
		cluster: openCluster(t), flights: unique("flights"), airlines: unique("airlines"), countries: unique("countries"),
		rows: make(map[string]map[string]string), dice: rand.New(rand.NewPCG(seed, 6)),
	}
	for topic, n := range map[string]int32{j.flights: 4, j.airlines: 3, j.countries: 2} { // they need not be as many
		j.createSized(t, n, topic)
		j.rows[topic] = make(map[string]string)
	}
	b := topology.NewBuilder(unique("joins"))
	table := func(topic string) topology.Table[string, string] {
		return topology.TableOf(b, topic, codecs.String, codecs.String)
	}
	flights, airlines, countries := table(j.flights), table(j.airlines), table(j.countries)
	flights.JoinForeign("inner", airlines, firstWord, pair, codecs.String)
	flights.JoinForeign("connections", flights, firstWord, pair, codecs.String)
	flights.
		LeftJoinForeign("left", airlines, firstWord, pairIfAny, codecs.String).
		LeftJoinForeign("twice", countries, lastWord, pairIfAny, codecs.String)
	var err error
	j.top, err = b.Build()
	require.NoError(t, err)
	return j
}

// firstWord is the key that a value refers to; "none" is no key.
func firstWord(_, value string) (string, bool) {
	word, _, _ := strings.Cut(value, " ")
	return word, word != "none"
}

func lastWord(_, value string) (string, bool) {
	return value[strings.LastIndexByte(value, ' ')+1:], true
}

func pair(left, right string) string { return left + " " + right }

func pairIfAny(left string, right *string) string {
	if right == nil {
		return left + " nothing"
	}
	return pair(left, *right)
}

// change writes some rows.
func (j *joins) change(t *testing.T, n int) {
	t.Helper()
	var records []*kgo.Record
	for range n {
		r := &kgo.Record{Topic: j.flights, Key: fmt.Append(nil, "k", j.dice.IntN(12)), Timestamp: time.UnixMilli(int64(j.dice.IntN(1000)))}
		switch j.dice.IntN(4) {
		case 0:
			r.Topic = j.airlines
		case 1:
			r.Topic = j.countries
		}
		delete(j.rows[r.Topic], string(r.Key))
		if j.dice.IntN(4) > 0 {
			value := fmt.Sprintf("k%d v%d k%d", j.dice.IntN(12), j.dice.IntN(3), j.dice.IntN(12))
			if j.dice.IntN(6) == 0 {
				value = "none"
			}
			r.Value, j.rows[r.Topic][string(r.Key)] = []byte(value), value
		}
		records = append(records, r)
	}
	j.offsets = j.offsets.Merge(j.produceAll(t, records...))
}

// joined joins from scratch.
func (j *joins) joined(store string) map[string]string {
	want := make(map[string]string)
	for key, flight := range j.rows[j.flights] {
		right := j.rows[j.airlines]
		if store == "connections" {
			right = j.rows[j.flights]
		}
		word, refers := firstWord(key, flight)
		row, found := right[word]
		found = found && refers
		switch {
		case store == "inner" || store == "connections":
			if found {
				want[key] = pair(flight, row)
			}
			continue
		case found:
			want[key] = pair(flight, row)
		default:
			want[key] = pairIfAny(flight, nil)
		}
		if store == "twice" {
			word, _ = lastWord(key, want[key])
			if country, ok := j.rows[j.countries][word]; ok {
				want[key] = pair(want[key], country)
			} else {
				want[key] = pairIfAny(want[key], nil)
			}
		}
	}
	return want
}

// start runs an instance of the application; stop ends it.
func (j *joins) start(t *testing.T, dir string, options ...func(*processors.Config)) (stop func()) {
	t.Helper()
	cfg := processors.Config{
		Brokers: j.brokers, Dir: dir, Logger: testLogger(t), Address: dir, SessionTimeout: 6 * time.Second,
		CommitInterval: time.Duration(1+j.dice.IntN(20)) * time.Millisecond, CommitRecords: int64(1 + j.dice.IntN(20)),
	}
	for _, option := range options {
		option(&cfg)
	}
	app, err := processors.New(j.top, cfg)
	require.NoError(t, err)
	return inBackground(t, app.Run)
}

// openViews opens views of the results.
func (j *joins) openViews(t *testing.T) (v *views.Views, stop func()) {
	t.Helper()
	var tables []state.TableRef
	for _, store := range []string{"inner", "connections", "left", "twice"} {
		ref, ok := j.top.Table(store)
		require.True(t, ok)
		tables = append(tables, ref)
	}
	return j.cluster.openViews(t, tables...)
}

// requireJoined waits until the views say that they reflect everything written so far, and holds them against that.
func (j *joins) requireJoined(t *testing.T, v *views.Views) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, v.Wait(ctx, j.offsets))
	for _, store := range []string{"inner", "connections", "left", "twice"} {
		rows, err := views.KeyValue(v, store, codecs.String, codecs.String)
		require.NoError(t, err)
		got := make(map[string]string)
		for entry, err := range rows.Range(t.Context(), nil, nil) {
			require.NoError(t, err)
			got[entry.Key] = entry.Value
		}
		require.Equal(t, j.joined(store), got, store)
	}
}

// A view that says that it reflects what was written has the join of it: however far the way is, whatever is stopped,
// moved, and lost on the way.
func TestForeignJoin_viewsReflectWhatTheySay(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			j := newJoins(t, seed)
			j.change(t, 50)
			dirs := []string{t.TempDir(), t.TempDir()}
			stop := j.start(t, dirs[0])
			v, stopViews := j.openViews(t)
			defer stopViews()
			j.requireJoined(t, v)
			for round := range 4 {
				for range 3 {
					j.change(t, 1+j.dice.IntN(20))
					j.requireJoined(t, v)
				}
				j.change(t, 100)
				switch round {
				case 0: // restarted in the middle of it
					stop()
					stop = j.start(t, dirs[0])
				case 1: // moved to another instance
					other := j.start(t, dirs[1])
					j.change(t, 100)
					stop()
					stop = other
				case 2: // without its state
					stop()
					require.NoError(t, os.RemoveAll(dirs[1]))
					stop = j.start(t, dirs[1])
				}
				j.requireJoined(t, v)
			}
			stop()
		})
	}
}

// An application without input commits nothing, although two sub-topologies read each other's output.
func TestForeignJoin_idleIsSilent(t *testing.T) {
	t.Parallel()
	j := newJoins(t, 1)
	j.change(t, 50)
	stop := j.start(t, t.TempDir())
	defer stop()
	v, stopViews := j.openViews(t)
	defer stopViews()
	j.requireJoined(t, v)
	ends := func() (sum int64) {
		for _, sub := range j.top.SubTopologies() {
			listed, err := j.admin.ListEndOffsets(t.Context(), sub.TableTopic())
			require.NoError(t, err)
			for _, partition := range listed.Offsets().Sorted() {
				sum += partition.At
			}
		}
		return sum
	}
	// The views have everything, but marks may still go round.
	before := ends()
	require.Eventually(t, func() bool {
		now := ends()
		silent := now == before
		before = now
		return silent
	}, waitLong, time.Second)
}
