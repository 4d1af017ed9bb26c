package topology_test

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/topologytest"
)

// indexScenarios are the scenarios of the scripts about indexes: a flight asks for the rows whose index key is its
// value.
func indexScenarios() map[string]topologytest.Scenario {
	return map[string]topologytest.Scenario{
		"index": {Define: func(b *topology.Builder) {
			left := leftTable(b)
			byGate := left.Index("by-gate", gateOf, codecs.String)
			out(flights(b).Process("find", found(byGate)))
			// Who hears of a change finds it.
			left.ToStream().Process("neighbours", neighbours(byGate)).To("neighbours", codecs.String, codecs.String)
		}},
		"index-each": {Define: func(b *topology.Builder) {
			byWord := leftTable(b).IndexEach("by-word", wordsOf, codecs.String)
			out(flights(b).Process("find", found(byWord)))
		}},
		"index-range": {Define: func(b *topology.Builder) {
			byGate := leftTable(b).Index("by-gate", gateOf, codecs.String)
			out(flights(b).Process("find", ranged(byGate)))
		}},
		"index-ttl": {Define: func(b *topology.Builder) {
			byGate := leftTable(b, topology.TTL(10*time.Second)).Index("by-gate", gateOf, codecs.String)
			out(flights(b).Process("find", found(byGate)))
		}},
		"index-versioned": {Define: func(b *topology.Builder) {
			byGate := leftTable(b, topology.Versioned(30*time.Second)).Index("by-gate", gateOf, codecs.String)
			out(flights(b).Process("find", found(byGate)))
		}},
		"index-aggregate": {Define: func(b *topology.Builder) {
			gone := func(gates string) bool { return strings.HasSuffix(gates, "gone") }
			gates := flights(b).GroupByKey().Aggregate("gates", none, join, codecs.String, topology.DeleteWhen(gone))
			byGate := gates.IndexEach("by-gate", wordsOf, codecs.String)
			out(topology.Source(b, "left", codecs.String, codecs.String).Process("find", found(byGate)))
		}},
		"index-materialized": {Define: func(b *topology.Builder) {
			joined := leftTable(b).LeftJoin(rightTable(b), perhaps).Materialize("joined", codecs.String)
			last := func(_, value string) (string, bool) { return value[strings.LastIndexByte(value, '+')+1:], true }
			out(flights(b).Process("find", found(joined.Index("by-right", last, codecs.String))))
		}},
	}
}

// gateOf finds rows by their value; a cancelled flight has no gate.
func gateOf(_, gate string) (string, bool) { return gate, gate != "cancelled" }

func wordsOf(_, value string) iter.Seq[string] {
	return strings.FieldsFuncSeq(value, func(r rune) bool { return r == '+' })
}

type create = func(p scope) (processor, error)

// found forwards the rows whose index key is the value of the record.
func found(x topology.Index[string, string, string]) create {
	return func(p scope) (processor, error) {
		rows := x.In(p)
		return func(_ context.Context, r record) error { return forwardAll(p, r, rows.Find(r.Value)) }, nil
	}
}

// ranged forwards the rows whose index keys are not below the key of the record and below its value.
func ranged(x topology.Index[string, string, string]) create {
	return func(p scope) (processor, error) {
		rows := x.In(p)
		return func(_ context.Context, r record) error {
			var lo, hi *string
			if !r.NullKey {
				lo = &r.Key
			}
			if !r.NullValue {
				hi = &r.Value
			}
			return forwardAll(p, r, rows.Range(lo, hi))
		}, nil
	}
}

func forwardAll(p scope, r record, rows iter.Seq2[state.IndexEntry[string, string, string], error]) error {
	for e, err := range rows {
		if err != nil {
			return err
		}
		p.Forward(record{Key: e.Key, Value: fmt.Sprintf("%s>%s@%d", e.Index, e.Value, e.Timestamp), Timestamp: r.Timestamp})
	}
	return nil
}

// neighbours forwards how many rows share the gate of the one that changed.
func neighbours(x topology.Index[string, string, string]) create {
	return func(p scope) (processor, error) {
		rows := x.In(p)
		return func(_ context.Context, r record) error {
			n := 0
			for _, err := range rows.Find(r.Value) {
				if err != nil {
					return err
				}
				n++
			}
			p.Forward(record{Key: r.Key, Value: fmt.Sprintf("%d at %s", n, r.Value), Timestamp: r.Timestamp})
			return nil
		}, nil
	}
}
