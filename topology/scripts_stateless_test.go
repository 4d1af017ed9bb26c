package topology_test

import (
	"slices"
	"strings"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
	"github.com/seed84377926/millrace/topology/topologytest"
)

type textRecord = topology.Record[string, string]

// statelessScenarios are the scenarios of operators without state.
func statelessScenarios() map[string]topologytest.Scenario {
	cancelled := func(_, status string) bool { return status == "cancelled" }
	withCarrier := func(flight, status string) string { return carrier(flight, status) + ":" + status }
	return map[string]topologytest.Scenario{
		"filter-not":    {Define: func(b *topology.Builder) { out(flights(b).FilterNot(cancelled)) }},
		"filter-record": {Define: func(b *topology.Builder) { out(flights(b).FilterRecord(hasKeyOrHeader)) }},
		"map": {Define: func(b *topology.Builder) {
			out(flights(b).Map(func(flight, status string) (string, string) { return status, flight }))
		}},
		"map-values-with-key": {Define: func(b *topology.Builder) { out(flights(b).MapValuesWithKey(withCarrier)) }},
		"map-record":          {Define: func(b *topology.Builder) { out(flights(b).MapRecord(an)) }},
		"flat-map":            {Define: func(b *topology.Builder) { out(flights(b).FlatMap(words)) }},
		"flat-map-values": {Define: func(b *topology.Builder) {
			out(flights(b).FlatMapValues(func(status string, emit func(string)) { words("", status, func(_, w string) { emit(w) }) }))
		}},
		"flat-map-values-with-key": {Define: func(b *topology.Builder) {
			out(flights(b).FlatMapValuesWithKey(func(flight, status string, emit func(string)) {
				words(flight, status, func(_, w string) { emit(carrier(flight, "") + ":" + w) })
			}))
		}},
		"flat-map-record": {Define: func(b *topology.Builder) { out(flights(b).FlatMapRecord(twice)) }},
		"split": {Define: func(b *topology.Builder) {
			split := flights(b).Split(topology.Named("by-status"))
			split.Branch(cancelled, topology.Named("cancelled")).To("cancelled", codecs.String, codecs.String)
			split.Branch(func(_, status string) bool { return strings.HasPrefix(status, "c") }).To("c", codecs.String, codecs.String)
			split.BranchRecord(func(r textRecord) bool { return r.NullKey }).To("anonymous", codecs.String, codecs.String)
			split.Default().To("others", codecs.String, codecs.String)
		}},
		"split-without-default": {Define: func(b *topology.Builder) { out(flights(b).Split().Branch(notCancelled)) }},
		"merge": {Define: func(b *topology.Builder) {
			s := flights(b)
			trains := topology.Source(b, "trains", codecs.String, codecs.String)
			ships := topology.Source(b, "ships", codecs.String, codecs.String)
			out(s.Merge(trains.MapValues(strings.ToUpper), ships, s.Filter(notCancelled)))
		}},
		"merge-counted": {
			Formats: map[string]topologytest.Format{
				"out": {Value: topologytest.TextOf(codecs.Int64)}, "n": {Value: topologytest.TextOf(codecs.Int64)},
			},
			Define: func(b *topology.Builder) {
				trains := topology.Source(b, "trains", codecs.String, codecs.String)
				outCount(flights(b).Merge(trains).GroupByKey().Count("n").ToStream())
			},
		},
		"peek": {Define: func(b *topology.Builder) { out(flights(b).Peek(func(textRecord) {})) }},
		"for-each": {Define: func(b *topology.Builder) {
			flights(b).ForEach(func(r textRecord) {
				if r.Value == "bad" {
					panic("no such status")
				}
			}, topology.Named("tell"))
		}},
	}
}

func hasKeyOrHeader(r textRecord) bool { return !r.NullKey || len(r.Headers) > 0 }

// an shows the record that it was given, ten milliseconds earlier; the header null/key or null/value says what to make
// null.
func an(r textRecord) textRecord {
	if r.NullValue {
		r.Value = "none"
	}
	r.Value, r.NullValue = "an "+r.Value, false
	for _, h := range r.Headers {
		r.NullKey = h.Key == "null" && string(h.Value) == "key"
		r.NullValue = h.Key == "null" && string(h.Value) == "value"
	}
	r.Headers = append(slices.Clip(r.Headers), engine.Header{Key: "was", Value: []byte(r.Key)})
	r.Timestamp -= 10
	return r
}

func twice(r textRecord, emit func(textRecord)) {
	emit(r)
	r.Timestamp -= 10
	r.NullKey = true
	emit(r)
}

// words are the parts of a status between hyphens, as keys, with the flight.
func words(flight, status string, emit func(word, flight string)) {
	for word := range strings.SplitSeq(status, "-") {
		if word != "" {
			emit(word, flight+"/"+word)
		}
	}
}
