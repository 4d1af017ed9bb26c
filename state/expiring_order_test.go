package state_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

// Rows expire by timestamp and then by key, whatever is committed, cached, changed or rolled back.
func TestExpiring_expiresInOrder(t *testing.T) {
	type entry = state.Entry[string, int64]
	spec := state.Spec{Name: "e", Kind: state.KeyValueKind, TTL: time.Hour}
	for seed := range uint64(40) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			dice := rand.New(rand.NewPCG(seed, 7))
			part, err := state.NewMemory().Open(0)
			require.NoError(t, err)
			open := func() *state.Expiring[string, int64] {
				s, err := state.NewExpiring(spec, part, state.NewBudget(dice.Int64N(2)*1000+1), codecs.String, codecs.Int64)
				require.NoError(t, err)
				return s
			}
			s := open()
			rows, committed := make(map[string]entry), make(map[string]entry)
			for step := range int64(400) {
				key := fmt.Sprint("k", dice.IntN(30))
				switch dice.IntN(12) {
				case 0:
					require.NoError(t, s.Delete(key))
					delete(rows, key)
				case 1, 2:
					before := step/2 - dice.Int64N(20)
					var want, got []entry
					for _, e := range rows {
						if e.Timestamp < before {
							want = append(want, e)
							delete(rows, e.Key)
						}
					}
					slices.SortFunc(want, func(a, b entry) int {
						return cmp.Or(cmp.Compare(a.Timestamp, b.Timestamp), cmp.Compare(a.Key, b.Key))
					})
					for e, err := range s.Expired(before) {
						require.NoError(t, err)
						got = append(got, e)
					}
					require.Equal(t, want, got, "step %d: before %d", step, before)
				case 3:
					var batch state.Batch
					require.NoError(t, s.Flush(&batch))
					require.NoError(t, part.Apply(&batch))
					s.Committed()
					committed = maps.Clone(rows)
				case 4:
					s.Rollback()
					rows = maps.Clone(committed)
				case 5:
					s.Close()
					s = open()
					rows = maps.Clone(committed)
				default:
					e := entry{Key: key, Value: step, Timestamp: step/2 + dice.Int64N(10)}
					require.NoError(t, s.Put(key, e.Value, e.Timestamp))
					rows[key] = e
				}
			}
		})
	}
}
