package describe_test

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
)

func build(tb testing.TB, name string, define func(b *topology.Builder)) *topology.Topology {
	tb.Helper()
	b := topology.NewBuilder(name)
	define(b)
	top, err := b.Build()
	require.NoError(tb, err)
	return top
}

func flights(b *topology.Builder) topology.Stream[string, string] {
	return topology.Source(b, "flights", codecs.String, codecs.String)
}

func out(s topology.Stream[string, string]) { s.To("out", codecs.String, codecs.String) }

func notCancelled(_, value string) bool         { return value != "cancelled" }
func carrier(flight, _ string) string           { return flight[:min(2, len(flight))] }
func withAirline(flight, airline string) string { return flight + " of " + airline }
func decimal(n int64) string                    { return strconv.FormatInt(n, 10) }
func none() string                              { return "" }

func join(_, value, all string) string {
	if all == "" {
		return value
	}
	return all + "+" + value
}
