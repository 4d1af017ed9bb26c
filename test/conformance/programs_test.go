package conformance_test

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
)

// program defines a topology of oracle/Oracle.java in our DSL. It reads topics "a" and "b" and writes to "out"; keys
// and values of all of them are strings.
type program func(b *topology.Builder)

// programs returns all programs by the ID of their topology in oracle/Oracle.java.
func programs(t *testing.T) map[string]program {
	t.Helper()
	all := make(map[string]program)
	for _, group := range []map[string]program{
		statelessPrograms(),
		aggregatePrograms(),
		windowPrograms(),
		tablePrograms(),
		joinPrograms(),
		globalPrograms(),
		suppressPrograms(),
		processorPrograms(),
	} {
		for id, define := range group {
			require.NotContains(t, all, id, "two programs for one topology")
			all[id] = define
		}
	}
	return all
}

type (
	stream = topology.Stream[string, string]
	table  = topology.Table[string, string]
)

func source(b *topology.Builder, topic string) stream {
	return topology.Source(b, topic, codecs.String, codecs.String)
}

func tableOf(b *topology.Builder, topic, store string) table {
	return topology.TableOf(b, topic, codecs.String, codecs.String, topology.Named(store))
}

func out(s stream) { s.To("out", codecs.String, codecs.String) }

func outTable(t table) { out(t.ToStream()) }

func outWindows(t topology.WindowedTable[string, string]) { out(t.ToStream(inWindow)) }

// The functions of Oracle.java, by the names they have there.

// inWindow is wk.
func inWindow(key string, w state.Window) string { return fmt.Sprintf("%s@%d/%d", key, w.Start, w.End) }

// joined is j.
func joined(left, right string) string { return "(" + left + "," + right + ")" }

// cat joins with a plus.
func cat(all, value string) string {
	if all == "" {
		return value
	}
	return all + "+" + value
}

// str writes a count.
func str(n int64) string { return strconv.FormatInt(n, 10) }

// none is the initial value of the aggregates.
func none() string { return "" }

// add appends a value to an aggregate.
func add(_, value, all string) string { return cat(all, value) }

func first(value string) string { return value[:1] }
