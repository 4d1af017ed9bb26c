package state_test

import (
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

// A restore writes the last record of each key of a run and leaves out those before it. What stores read afterwards is
// what they read after every record was restored, local rows included.
func TestLayout_restoresMergedRuns(t *testing.T) {
	expiring := state.Spec{Name: "ttl", Kind: state.KeyValueKind, TTL: 100 * time.Millisecond}
	layout, err := state.NewLayout(
		state.Spec{Name: "kv", Kind: state.KeyValueKind}, expiring,
		state.Spec{Name: "w", Kind: state.WindowKind, WindowSize: time.Second},
		state.Spec{Name: "s", Kind: state.SessionKind}, state.Spec{Name: "v", Kind: state.VersionedKind},
	)
	require.NoError(t, err)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		engine := state.NewMemory()
		all, err := engine.Open(0)
		require.NoError(t, err)
		merged, err := engine.Open(1)
		require.NoError(t, err)
		var latest int64
		for range 1 + random.IntN(6) {
			run := make(map[string][]byte)
			var b state.Batch
			for range random.IntN(40) {
				latest++
				key, value := changelogRecord(random, latest)
				run[string(key)] = value
				restoreRow(t, layout, &b, key, value)
			}
			require.NoError(t, all.Apply(&b))
			b.Reset()
			for _, key := range slices.Sorted(maps.Keys(run)) {
				restoreRow(t, layout, &b, []byte(key), run[key])
			}
			require.NoError(t, merged.Apply(&b))
		}
		var rows [2][]string
		for i, part := range []state.Partition{all, merged} {
			store, err := state.NewExpiring(expiring, part, nil, codecs.String, codecs.String)
			require.NoError(t, err)
			_, err = store.Expire(latest / 2)
			require.NoError(t, err)
			var b state.Batch
			require.NoError(t, store.Flush(&b))
			require.NoError(t, part.Apply(&b))
			store.Committed()
			for e, err := range store.Range(nil, nil) {
				require.NoError(t, err)
				rows[i] = append(rows[i], fmt.Sprint(e))
			}
			_, err = store.Expire(latest + 1) // only what a local row leads to goes
			require.NoError(t, err)
			b.Reset()
			require.NoError(t, store.Flush(&b))
			require.NoError(t, part.Apply(&b))
			store.Committed()
			store.Close()
			for row, err := range part.Scan(nil, nil) {
				require.NoError(t, err)
				rows[i] = append(rows[i], fmt.Sprintf("%q=%q", row.Key, row.Value))
			}
		}
		require.Equal(t, rows[0], rows[1])
		require.NoError(t, engine.Close())
	}
}

// changelogRecord makes a record of some store; every fourth is a tombstone.
func changelogRecord(random *rand.Rand, timestamp int64) (key, value []byte) {
	name := []byte{byte('a' + random.IntN(4))}
	at := int64(random.IntN(5))
	switch random.IntN(5) {
	case 0:
		key = state.AppendRowKey(nil, "kv", name)
	case 1:
		key = state.AppendRowKey(nil, "ttl", name)
	case 2:
		key = state.AppendRowKey(nil, "w", state.AppendWindowKey(nil, name, at))
	case 3:
		key = state.AppendRowKey(nil, "s", state.AppendSessionKey(nil, name, state.Session{Start: at, End: at + 3}))
	default:
		key = state.AppendRowKey(nil, "v", state.AppendVersionKey(nil, name, at))
	}
	if random.IntN(4) == 0 {
		return key, nil
	}
	return key, state.AppendRowValue(nil, timestamp, fmt.Append(nil, timestamp))
}

func restoreRow(t *testing.T, layout *state.Layout, b *state.Batch, key, value []byte) {
	t.Helper()
	known, err := layout.RestoreRow(b, key, value)
	require.NoError(t, err)
	require.True(t, known)
}
