package topology_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
)

// The sides of joins must have equal numbers of partitions. Merged inputs need not, nor does a store above an operator
// that the operator reads.
func TestSubTopology_Copartitions(t *testing.T) {
	together := func(define func(b *topology.Builder)) map[string][]string {
		all := make(map[string][]string)
		for _, sub := range build(t, "app", define).SubTopologies() {
			for _, c := range sub.Copartitions() {
				require.Regexp(t, `^topology/(copartition|scripts|scripts_foreign)_test\.go:\d+$`, c.Site)
				all[c.Operator] = c.Topics
			}
		}
		return all
	}
	require.Empty(t, together(func(b *topology.Builder) {
		more := topology.Source(b, "more", codecs.String, codecs.String)
		flights(b).Merge(more).GroupByKey().Count("n").Suppress("s", topology.UntilTimeLimit(0))
	}))
	require.Equal(t, map[string][]string{`join-table "both"`: {"airlines", "flights", "more"}}, together(func(b *topology.Builder) {
		more := topology.Source(b, "more", codecs.String, codecs.String)
		airlines := topology.TableOf(b, "airlines", codecs.String, codecs.String)
		flights(b).Merge(more).JoinTable(airlines, withAirline, topology.Named("both"))
	}))
	require.Equal(t, map[string][]string{
		"foreign-subscriptions":              {"airlines", "app-flights-of-airlines-subscription-registration"},
		`join-foreign "flights-of-airlines"`: {"app-flights-of-airlines-subscription-response", "flights"},
	}, together(foreignScenarios()["join-foreign"].Define))
}
