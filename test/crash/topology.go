//go:build unix

package main

import (
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
)

const partitions = 4

// Stores of the application.
const (
	storeProfiles = "profiles"
	storeByKey    = "by-key"
	storeRecent   = "recent"
	storeByWord   = "by-word"
	storeHours    = "by-word-hour"
)

// Windows of the application, in event time. recent drops late records and expires windows; it reads the source itself,
// whose order is known, so that the truth knows which records are dropped and which windows expire. The windows after
// the repartition have a grace that is just enough for the disorder within each partition of the source: no record may
// be late there because the task of another partition was faster, or because its own was killed.
const (
	recentSize      = 2 * time.Second
	recentGrace     = time.Second
	recentRetention = 20 * time.Second
	hourSize        = 10 * time.Second
	hourGrace       = time.Duration(lateBy+stepTime) * time.Millisecond
	hourRetention   = 24 * time.Hour
)

// event is what the source topic carries.
type event struct {
	ID   int64  `json:"id"`
	Word string `json:"word"`
}

// joined is an event with the version of the profile that its key had.
type joined struct {
	ID      int64  `json:"id"`
	Word    string `json:"word"`
	Version int64  `json:"version"`
}

// tally is the aggregate everywhere: it counts, and remembers what it counted well enough to tell one record too many
// from another one too few.
type tally struct {
	N    int64  `json:"n"`
	Sum  uint64 `json:"sum"`  // of the hashes of the ids
	Last int64  `json:"last"` // the id counted last
}

func (t tally) add(id int64) tally { return tally{N: t.N + 1, Sum: t.Sum + hash(id), Last: id} }

// hash is splitmix64.
func hash(id int64) uint64 {
	x := uint64(id) + 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// topics are the topics of one run.
type topics struct{ events, profiles, byKey, recent, joined, byWord, hours string }

func topicsOf(app string) topics {
	return topics{
		events: app + "-events", profiles: app + "-profiles", byKey: app + "-out-by-key", recent: app + "-out-recent",
		joined: app + "-out-joined", byWord: app + "-out-by-word", hours: app + "-out-by-word-hour",
	}
}

func (t topics) all() []string {
	return []string{t.events, t.profiles, t.byKey, t.recent, t.joined, t.byWord, t.hours}
}

func windowCodec(size time.Duration) codecs.Codec[topology.Windowed[string]] {
	return topology.TimeWindowedCodec(codecs.String, size)
}

// application is the topology under test: two groups with a repartition between them.
//
//	events ──┬─▶ aggregate by-key ─▶ out
//	         ├─▶ window recent ─▶ out
//	         └─▶ join profiles ─┬─▶ out
//	                            └─▶ by word ═▶ repartition ═┬─▶ aggregate by-word ─▶ out
//	                                                        └─▶ window by-word-hour ─▶ out
func application(app string) (*topology.Topology, error) {
	t := topicsOf(app)
	b := topology.NewBuilder(app)
	events := topology.Source(b, t.events, codecs.String, codecs.JSON[event]())
	profiles := topology.TableOf(b, t.profiles, codecs.String, codecs.Int64, topology.Named(storeProfiles))

	zero := func() tally { return tally{} }
	add := func(_ string, e event, sum tally) tally { return sum.add(e.ID) }
	events.GroupByKey().Aggregate(storeByKey, zero, add, codecs.JSON[tally]()).
		ToStream().To(t.byKey, codecs.String, codecs.JSON[tally]())
	events.GroupByKey().
		WindowedBy(topology.Tumbling(recentSize).Grace(recentGrace).Retention(recentRetention)).
		Aggregate(storeRecent, zero, add, codecs.JSON[tally]()).
		ToStream(topology.WithWindow).To(t.recent, windowCodec(recentSize), codecs.JSON[tally]())

	withProfile := events.JoinTable(profiles, func(e event, version int64) joined {
		return joined{ID: e.ID, Word: e.Word, Version: version}
	})
	withProfile.To(t.joined, codecs.String, codecs.JSON[joined]())

	addJoined := func(_ string, j joined, sum tally) tally { return sum.add(j.ID) }
	words := withProfile.Rekey(func(_ string, j joined) string { return j.Word }).
		Repartition("words", codecs.String, codecs.JSON[joined]()).GroupByKey()
	words.Aggregate(storeByWord, zero, addJoined, codecs.JSON[tally]()).
		ToStream().To(t.byWord, codecs.String, codecs.JSON[tally]())
	words.WindowedBy(topology.Tumbling(hourSize).Grace(hourGrace).Retention(hourRetention)).
		Aggregate(storeHours, zero, addJoined, codecs.JSON[tally]()).
		ToStream(topology.WithWindow).To(t.hours, windowCodec(hourSize), codecs.JSON[tally]())
	return b.Build()
}

// windowStart returns where the tumbling window of timestamp starts.
func windowStart(timestamp int64, size time.Duration) int64 {
	return timestamp / size.Milliseconds() * size.Milliseconds()
}

// specOf returns the spec of a store of the application.
func specOf(top *topology.Topology, store string) state.Spec {
	table, _ := top.Table(store)
	return table.Store
}
