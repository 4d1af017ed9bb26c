package topology_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
	"github.com/seed84377926/millrace/topology/topologytest"
)

// An index agrees with the rows, however the task is interrupted.
func TestIndex_saysWhatTheRowsSay(t *testing.T) {
	for name, opts := range map[string][]topology.TableOption{
		"plain":     nil,
		"ttl":       {topology.TTL(20 * time.Second)},
		"versioned": {topology.Versioned(20 * time.Second)},
	} {
		for seed := range uint64(10) {
			t.Run(fmt.Sprintf("%s seed=%d", name, seed), func(t *testing.T) {
				top := build(t, "app", func(b *topology.Builder) { leftTable(b, opts...).IndexEach("by-word", wordsOf, codecs.String) })
				dice := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a test
				d := topologytest.NewDriver(t, top, topologytest.Partitions(3), topologytest.CommitRandomly(seed), topologytest.CacheBytes(2000))
				left := topologytest.Input(d, "left", codecs.String, codecs.String)
				now := int64(0)
				for range 300 {
					now += int64(dice.IntN(3000))
					key, at := fmt.Sprint("k", dice.IntN(20)), max(0, now-int64(dice.IntN(6000)))
					switch dice.IntN(30) {
					case 0:
						d.Crash()
					case 1:
						d.Restart()
					case 2:
						d.Restore()
					case 3, 4, 5:
						left.PipeNullValue(key, at)
					default:
						left.Pipe(key, strings.Repeat(fmt.Sprint("+w", dice.IntN(5)), 1+dice.IntN(2))+fmt.Sprint("+w", dice.IntN(5)), at)
					}
				}
				var want []string
				if name == "versioned" {
					for _, v := range topologytest.Versions(d, "left", codecs.String, codecs.String) {
						if v.ValidTo == forever {
							want = append(want, indexed(v.Key, v.Value)...)
						}
					}
				} else {
					for _, row := range topologytest.Rows(d, "left", codecs.String, codecs.String) {
						want = append(want, indexed(row.Key, row.Value)...)
					}
				}
				var got []string
				for _, e := range topologytest.IndexRows(d, "by-word", codecs.String, codecs.String, codecs.String) {
					got = append(got, e.Index+" > "+e.Key+" = "+e.Value)
				}
				require.NotEmpty(t, want)
				require.True(t, slices.IsSorted(got))
				slices.Sort(want)
				require.Equal(t, want, got)
			})
		}
	}
}

// indexed returns the entries that an index by words has for a row.
func indexed(key, value string) []string {
	words := slices.Compact(slices.Sorted(wordsOf(key, value)))
	for i, word := range words {
		words[i] = word + " > " + key + " = " + value
	}
	return words
}

// An index that is added to a table with rows is built from them, a few for each commit. An interrupted build goes on
// where it was.
func TestIndex_isBuiltFromTheRowsThatThereAre(t *testing.T) {
	for name, opts := range map[string][]topology.TableOption{
		"plain":     nil,
		"ttl":       {topology.TTL(time.Hour)},
		"versioned": {topology.Versioned(time.Hour)},
	} {
		t.Run(name, func(t *testing.T) {
			before := start(t, func(b *topology.Builder) { leftTable(b, opts...) })
			for i := range 10 {
				require.NoError(t, before.Process(0, raw(fmt.Sprint("k", i), "old", 1, 0)))
				require.NoError(t, before.Process(0, raw(fmt.Sprint("k", i), fmt.Sprint("g", i%2), 2, 0)))
			}
			require.NoError(t, before.Process(0, raw("cancelled", "cancelled", 2, 0)))
			require.NoError(t, before.Process(0, &engine.RawRecord{Key: []byte("k3"), Timestamp: 3}))
			before.commit(t)
			before.Close()
			h := startOn(t, before.part, func(b *topology.Builder) { leftTable(b, opts...).Index("by-gate", gateOf, codecs.String) })
			require.Equal(t, []string{"incomplete"}, h.index(t))

			build := func(want int) {
				t.Helper()
				require.True(t, h.Preparing())
				rows, err := h.Prepare(4)
				require.NoError(t, err)
				require.Equal(t, want, rows)
			}
			build(4)
			h.commit(t)
			require.Equal(t, []string{"incomplete"}, h.index(t))
			build(4)
			h.Rollback() // forgets the four, and no more
			build(4)
			h.commit(t)
			h.restart(t)
			build(2)
			require.False(t, h.Preparing())
			h.Rollback()
			require.True(t, h.Preparing())
			// Whoever does not build gets it built.
			require.NoError(t, h.Process(0, raw("k0", "g1", 4, 1)))
			require.False(t, h.Preparing())
			h.commit(t)
			require.Equal(t, []string{
				"g0 k2", "g0 k4", "g0 k6", "g0 k8", "g1 k0", "g1 k1", "g1 k5", "g1 k7", "g1 k9",
			}, h.index(t))
			h.restart(t)
			require.False(t, h.Preparing())
			rows, err := h.Prepare(1)
			require.NoError(t, err)
			require.Zero(t, rows)
		})
	}
}

// If the function of the index fails on a row while the index is built, the error is not attributed to the next record.
func TestIndex_buildingFailsByName(t *testing.T) {
	before := start(t, func(b *topology.Builder) { leftTable(b) })
	require.NoError(t, before.Process(0, raw("KL", "D1", 1, 0)))
	before.commit(t)
	before.Close()
	h := startOn(t, before.part, func(b *topology.Builder) {
		leftTable(b).Index("by-gate", func(_, gate string) (string, bool) { return gate[7:], true }, codecs.String)
	})
	err := h.Process(0, raw("LH", "D2", 2, 1))
	require.ErrorContains(t, err, `sub-topology "left": partition 7: build index "by-gate": row "KL": panic: runtime error: slice bounds out of range`)
	require.ErrorContains(t, err, "correct the function of the index")
	var record *engine.RecordError
	require.NotErrorAs(t, err, &record)
	h.Rollback()
	_, err = h.Prepare(1)
	require.ErrorContains(t, err, `build index "by-gate"`)
}

// If the function does not depend on the row alone, reading the index finds it out.
func TestIndex_functionThatChangesItsMind(t *testing.T) {
	gate := "A"
	h := start(t, func(b *topology.Builder) {
		byGate := leftTable(b).Index("by-gate", func(_, _ string) (string, bool) { return gate, true }, codecs.String)
		out(flights(b).Process("find", found(byGate)))
	})
	require.NoError(t, h.Process(0, raw("KL", "x", 1, 0)))
	gate = "B"
	require.NoError(t, h.Process(0, &engine.RawRecord{Key: []byte("KL"), Timestamp: 2}))
	err := h.Process(1, raw("q", "A", 3, 0))
	require.ErrorContains(t, err, `index "by-gate" leads from "A" to row "KL", which store "left" does not have: the function of the index gave another index key`)
}

// A record whose index key cannot be computed fails in the index, and the table does not keep it either.
func TestIndex_failsWithTheRecord(t *testing.T) {
	h := start(t, func(b *topology.Builder) {
		leftTable(b).Index("by-gate", func(_, gate string) (string, bool) { return gate[2:], true }, codecs.String)
	})
	err := h.Process(0, raw("KL", "D", 1, 3))
	failed := new(engine.RecordError)
	require.ErrorAs(t, err, &failed)
	require.Equal(t, "by-gate", failed.Node)
	require.EqualValues(t, 3, failed.Offset)
	h.Rollback()
	require.NoError(t, h.Process(0, raw("LH", "D12", 2, 4)))
	h.commit(t)
	require.Equal(t, []string{"2 LH"}, h.index(t))
}

const forever = 1<<63 - 1

// index returns the committed entries of the index by gate of the left table.
func (h *harness) index(t *testing.T) []string {
	t.Helper()
	spec := func(name string) state.Spec {
		stores := h.sub.Stores()
		return stores[slices.IndexFunc(stores, func(s state.Spec) bool { return s.Name == name })]
	}
	reader, err := state.NewIndexReader(spec("by-gate"), spec("left"), codecs.String, codecs.String, codecs.String)
	require.NoError(t, err)
	var found []string
	var b state.Batch
	b.Set([]byte(state.PositionKey), nil) // as the owner of a task writes it
	require.NoError(t, h.part.Apply(&b))
	for e, err := range reader.Range(h.part, nil, nil) {
		if err != nil {
			require.ErrorIs(t, err, state.ErrIndexIncomplete)
			return []string{"incomplete"}
		}
		found = append(found, e.Index+" "+e.Key)
	}
	return found
}
