package statetest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

var indexSpec = state.Spec{Name: "by-gate", Kind: state.IndexKind, Of: "flights"} //nolint:gochecknoglobals // a constant

func newIndex(t testing.TB, part state.Partition, budget *state.Budget) *state.Index {
	t.Helper()
	x, err := state.NewIndex(indexSpec, part, budget)
	must(t, err)
	return x
}

func newFlights(t testing.TB, part state.Partition, budget *state.Budget) *state.KeyValue[string, string] {
	t.Helper()
	flights, err := state.NewKeyValue("flights", part, budget, codecs.String, codecs.String)
	must(t, err)
	return flights
}

func testIndex(t *testing.T, e state.Engine) {
	part := openPartition(t, e, 0)
	x := newIndex(t, part, nil)
	x.BuiltAll()
	find := func(index string) []string {
		t.Helper()
		keys := []string{}
		for place, err := range x.Find([]byte(index)) {
			must(t, err)
			equal(t, string(place.Index), index, "index key of what was found")
			keys = append(keys, string(place.Key))
		}
		return keys
	}
	x.Add([]byte("D"), []byte("KL"), 1)
	x.Add([]byte("D"), []byte("BA"), 2)
	x.Add([]byte("D\x00"), []byte("LH"), 3)
	x.Add([]byte("D1"), []byte(""), 4)
	x.Add([]byte(""), []byte("AF"), 5)
	want := map[string][]string{"D": {"BA", "KL"}, "D\x00": {"LH"}, "D1": {""}, "": {"AF"}, "E": {}}
	check := func(when string) {
		t.Helper()
		for index, keys := range want {
			equal(t, find(index), keys, "keys of %q %s", index, when)
		}
	}
	check("before the commit")
	commit(t, part, x)
	check("after the commit")
	x.Remove([]byte("D"), []byte("KL"))
	x.Add([]byte("E"), []byte("KL"), 6)
	equal(t, find("D"), []string{"BA"}, "keys of D, changed")
	x.Rollback()
	check("after the rollback")
	x.Remove([]byte("D"), []byte("KL"))
	commit(t, part, x)
	want["D"] = []string{"BA"}
	check("removed")
	x.Close()
	x = newIndex(t, part, nil)
	check("opened again")
	complete, _ := x.Built()
	equal(t, complete, true, "it is complete")

	var places []string
	for place, err := range x.Range([]byte("D"), []byte("D1")) {
		must(t, err)
		places = append(places, fmt.Sprintf("%q %s", place.Index, place.Key))
	}
	equal(t, places, []string{`"D" BA`, `"D\x00" LH`}, "places from D to D1")
	n := 0
	for _, err := range x.Range(nil, nil) {
		must(t, err)
		n++
	}
	equal(t, n, 4, "all places")
}

func testIndexBuilding(t *testing.T, e state.Engine) {
	part := openPartition(t, e, 0)
	reader, err := state.NewIndexReader(indexSpec, state.Spec{Name: "flights", Kind: state.KeyValueKind}, codecs.String, codecs.String, codecs.String)
	must(t, err)
	read := func() error {
		for _, err := range reader.Range(part, nil, nil) {
			return err
		}
		return nil
	}
	must(t, read()) // nothing was ever committed
	apply(t, part, func(b *state.Batch) { b.Set([]byte(state.PositionKey), []byte("p")) })
	incomplete := func(upTo []byte, x *state.Index) {
		t.Helper()
		equal(t, errors.Is(read(), state.ErrIndexIncomplete), true, "what a reader is told")
		complete, at := x.Built()
		equal(t, complete, false, "complete")
		equal(t, at, upTo, "built up to")
	}
	x := newIndex(t, part, nil)
	incomplete(nil, x)
	x.BuiltUpTo([]byte{})
	commit(t, part, x)
	incomplete([]byte{}, newIndex(t, part, nil))
	x.BuiltUpTo([]byte("k"))
	incomplete([]byte("k"), x)
	x.Rollback()
	incomplete([]byte{}, x)
	x.BuiltUpTo([]byte("k"))
	commit(t, part, x)
	incomplete([]byte("k"), newIndex(t, part, nil))
	x.BuiltAll()
	commit(t, part, x)
	must(t, read())
	equal(t, commit(t, part, x).Len(), 0, "changes of a commit without any")
	apply(t, part, func(b *state.Batch) { b.Set(state.AppendRowKey(nil, "by-gate", nil), []byte{7}) })
	_, err = state.NewIndex(indexSpec, part, nil)
	equal(t, fmt.Sprint(err), `read store "by-gate": progress of the index: 07 means nothing: its writer used another format`, "the error")
}

// testIndexModel changes a store and its index at random and reads them back in all ways.
func testIndexModel(t *testing.T, e state.Engine) {
	part, restored := openPartition(t, e, 0), openPartition(t, e, 1)
	spec := state.Spec{Name: "flights", Kind: state.KeyValueKind}
	reader, err := state.NewIndexReader(indexSpec, spec, codecs.String, codecs.String, codecs.String)
	must(t, err)
	layout, err := state.NewLayout(spec, indexSpec)
	must(t, err)
	budget := state.NewBudget(4 << 10)
	x, flights := newIndex(t, part, budget), newFlights(t, part, budget)
	x.BuiltAll()
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test
	now, committed := map[string]string{}, map[string]string{}
	for step := range 2000 {
		key, gate := fmt.Sprint(rng.IntN(50)), fmt.Sprint(rng.IntN(9))
		if old, ok := now[key]; ok {
			x.Remove([]byte(old), []byte(key))
		}
		if rng.IntN(4) == 0 {
			delete(now, key)
			must(t, flights.Delete(key))
		} else {
			now[key] = gate
			must(t, flights.Put(key, gate, int64(step)))
			x.Add([]byte(gate), []byte(key), int64(step))
		}
		switch rng.IntN(20) {
		case 0:
			x.Rollback()
			flights.Rollback()
			now = maps.Clone(committed)
		case 1:
			b := commit(t, part, x, flights)
			committed = maps.Clone(now)
			replay(t, layout, restored, b)
			for _, at := range []state.Partition{part, restored} {
				got := []string{}
				for e, err := range reader.Range(at, nil, nil) {
					must(t, err)
					equal(t, e.Value, e.Index, "what the row says")
					got = append(got, e.Index+" "+e.Key)
				}
				equal(t, got, placesOf(committed), "places that are committed")
			}
			found := 0
			for e, err := range reader.Find(part, gate) {
				must(t, err)
				equal(t, committed[e.Key], gate, "gate of %s", e.Key)
				found++
			}
			equal(t, found, len(slices.DeleteFunc(slices.Collect(maps.Values(committed)), func(g string) bool { return g != gate })), "rows found")
		default:
			got := []string{}
			for place, err := range x.Range(nil, nil) {
				must(t, err)
				got = append(got, string(place.Index)+" "+string(place.Key))
			}
			equal(t, got, placesOf(now), "places")
		}
	}
}

func placesOf(gates map[string]string) []string {
	places := []string{}
	for key, gate := range gates {
		places = append(places, gate+" "+key)
	}
	slices.Sort(places)
	return places
}
