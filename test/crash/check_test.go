//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// small is an input of one key with a late record, and the expected results.
func small() (topics, *truth) {
	t := topicsOf("app")
	var events, profiles [partitions][]sent
	for i, timestamp := range []int64{10_000, 11_000, 13_500, 10_500, 40_000} {
		events[0] = append(events[0], sent{
			key: "k", timestamp: timestamp, version: int64(i % 2), offset: int64(i),
			event: event{ID: int64(i + 1), Word: fmt.Sprintf("w%02d", hash(int64(i+1))%wordCount)},
		})
	}
	profiles[0] = []sent{{key: "k", version: 1}, {key: "gone", version: 1}, {key: "gone"}}
	return t, newTruth(t, &events, &profiles)
}

func TestTruth_countsDropsAndExpires(t *testing.T) {
	names, tr := small()
	require.Len(t, tr.ordered[names.byKey]["k"], 5)
	require.Equal(t, int64(13_500), tr.ordered[names.byKey]["k"][3].timestamp, "the timestamp of a result never goes back")
	require.Len(t, tr.ordered[names.joined]["k"], 2, "without a profile there is no result")
	require.Equal(t, 1, tr.late, "10500 comes after 13500, which closed its window")
	require.Len(t, tr.ordered[names.recent]["k@10000"], 2)
	require.NotContains(t, tr.tables[storeRecent], "k@10000", "expired")
	require.Contains(t, tr.tables[storeRecent], "k@40000")
	require.Equal(t, map[string]any{"k": int64(1)}, tr.tables[storeProfiles])
}

// good are the records that the topic byKey should have.
func good(t *testing.T, updates []update) []*kgo.Record {
	t.Helper()
	var records []*kgo.Record
	var sum tally
	for i, u := range updates {
		sum = sum.add(u.id)
		value, err := json.Marshal(sum)
		require.NoError(t, err)
		records = append(records, &kgo.Record{
			Key: []byte("k"), Value: value, Timestamp: time.UnixMilli(u.timestamp), Offset: int64(i),
		})
	}
	return records
}

// The checker must be able to fail, for each kind of damage.
func TestCheck_findsEachKindOfDamage(t *testing.T) {
	names, tr := small()
	want := tr.ordered[names.byKey]
	other, err := json.Marshal(tally{N: 2})
	require.NoError(t, err)
	for _, tc := range []struct {
		name   string
		damage func(records []*kgo.Record) []*kgo.Record
		finds  string
	}{
		{"none", func(r []*kgo.Record) []*kgo.Record { return r }, ""},
		{"lost at the end", func(r []*kgo.Record) []*kgo.Record { return r[:4] }, "expected 5 records, got 4"},
		{"lost in between", func(r []*kgo.Record) []*kgo.Record { return slices.Delete(r, 1, 2) }, "record 2 of 5"},
		{"doubled", func(r []*kgo.Record) []*kgo.Record { return append(r, r[4]) }, "got 1 more"},
		{"wrong value", func(r []*kgo.Record) []*kgo.Record { r[1].Value = other; return r }, `expected {"n":2`},
		{"wrong time", func(r []*kgo.Record) []*kgo.Record { r[1].Timestamp = time.UnixMilli(1); return r }, "expected timestamp"},
		{"swapped", func(r []*kgo.Record) []*kgo.Record { r[1], r[2] = r[2], r[1]; return r }, "record 2 of 5"},
		{"stranger", func(r []*kgo.Record) []*kgo.Record { return append(r, &kgo.Record{Key: []byte("x")}) }, "expected nothing, got 1"},
		{"two partitions", func(r []*kgo.Record) []*kgo.Record { r[4].Partition = 1; return r }, "partitions 0 and 1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := &verdict{}
			checkOrdered(v, names, names.byKey, [][]*kgo.Record{tc.damage(good(t, want["k"]))}, want)
			require.Equal(t, 1, v.keys())
			if tc.finds == "" {
				require.Empty(t, v.findings())
				return
			}
			require.NotEmpty(t, v.findings())
			require.Contains(t, v.findings()[0].what, tc.finds)
		})
	}
}

func TestCheck_unorderedTopicsMayComeInAnyOrderButOnlyOnce(t *testing.T) {
	names := topicsOf("app")
	want := map[string][]int64{"k": {1, 2, 3}}
	check := func(ids ...int64) []finding {
		updates := make([]update, len(ids))
		for i, id := range ids {
			updates[i].id = id
		}
		v := &verdict{}
		checkUnordered(v, names, names.byWord, [][]*kgo.Record{good(t, updates)}, want)
		return v.findings()
	}
	require.Empty(t, check(1, 2, 3))
	require.Empty(t, check(3, 1, 2))
	require.Len(t, check(1, 2), 1)
	require.Len(t, check(1, 2, 2), 1)
	require.Len(t, check(1, 2, 4), 1)
}

func TestCheck_tables(t *testing.T) {
	v := &verdict{}
	compareTable(v, "here", map[string]any{"a": int64(1), "b": int64(2), "x": int64(0)}, map[string]any{"a": int64(1), "b": int64(3), "c": int64(4)})
	require.Equal(t, []finding{
		{"here", "b", "expected 3, got 2"}, {"here", "c", "expected 4, got no row"}, {"here", "x", "expected no row, got 0"},
	}, v.findings())
}

// With at least once a duplicate record is no finding, but a missing record is one.
func TestCheckNoneMissing(t *testing.T) {
	names := topicsOf("app")
	out := func(ids ...int64) [][]*kgo.Record {
		var records []*kgo.Record
		var sum tally
		for _, id := range ids {
			sum = sum.add(id)
			value, err := json.Marshal(sum)
			require.NoError(t, err)
			records = append(records, &kgo.Record{Topic: names.byKey, Key: []byte("k"), Value: value})
		}
		return [][]*kgo.Record{records}
	}
	want := map[string][]int64{"k": {1, 2, 3}}
	for name, test := range map[string]struct {
		got   [][]*kgo.Record
		wrong int
	}{
		"all":     {out(1, 2, 3), 0},
		"doubled": {out(1, 2, 1, 2, 3), 0},
		"missing": {out(1, 3, 3), 1},
		"nothing": {out(), 1},
	} {
		v := &verdict{atLeastOnce: true}
		checkNoneMissing(v, names, names.byKey, test.got, want)
		require.Len(t, v.findings(), test.wrong, name)
	}
	for name, test := range map[string]struct {
		row   tally
		wrong int
	}{
		"all":     {tally{N: 2, Sum: 5}, 0},
		"more":    {tally{N: 3, Sum: 9}, 0},
		"less":    {tally{N: 1, Sum: 4}, 1},
		"another": {tally{N: 2, Sum: 6}, 1},
	} {
		v := &verdict{atLeastOnce: true}
		compareTable(v, "table", map[string]any{"k": test.row}, map[string]any{"k": tally{N: 2, Sum: 5}})
		require.Len(t, v.findings(), test.wrong, name)
	}
}
