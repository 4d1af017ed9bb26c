package conformance_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A versioned table of Kafka Streams forgets the deletion of a value that has the value's timestamp, if nothing in its
// segments ends at that time (docs/semantics.md, Order of updates). An older value that comes after it is then the
// latest one. TestRecorded accepts such answers, and only them: where two naive definitions of the program differ, of
// which one forgets and the other does not, it requires of Kafka Streams what the one says and of millrace what the
// other says. All other steps are compared as everywhere.

// versionedTables returns the naive definitions of the recorded programs with versioned tables: the outputs of the last
// of all records, if the tables have seen the records that seen keeps of them.
func versionedTables() map[string]func(past []event, seen func([]event) []event) []record {
	all := make(map[string]func(past []event, seen func([]event) []event) []record)
	for kind, left := range map[string]bool{"inner": false, "left": true} {
		for suffix, grace := range map[string]int64{"-versioned": -1, "-grace": 5000} {
			j := streamTable{left: left, versioned: true, grace: grace}
			all["stream-table-"+kind+suffix] = func(past []event, seen func([]event) []event) []record {
				if past[len(past)-1].right {
					return nil
				}
				outputs := j.outputs(seen(past))
				slices.SortStableFunc(outputs, func(a, b record) int {
					return cmp.Or(cmp.Compare(a.Timestamp, b.Timestamp), strings.Compare(a.Key, b.Key))
				})
				return outputs
			}
		}
	}
	for _, kind := range []string{"inner", "left", "outer"} {
		all["table-table-"+kind+"-versioned"] = func(past []event, seen func([]event) []event) []record {
			updates, latest := latestOnly(past, seen)
			if !latest {
				return nil
			}
			return tableJoinOutputs(updates, kind)
		}
	}
	return all
}

// latestOnly returns the updates of tables that were the latest of their keys when they came, and whether the last
// update is one.
func latestOnly(past []event, seen func([]event) []event) (updates []event, last bool) {
	for i, e := range past {
		last = !slices.ContainsFunc(seen(past[:i]), func(p event) bool { return sameRow(p, e) && p.Timestamp > e.Timestamp })
		if last {
			updates = append(updates, e)
		}
	}
	return updates, last
}

func sameRow(a, b event) bool { return a.right == b.right && a.Key == b.Key && a.NullKey == b.NullKey }

func all(past []event) []event { return past }

// remembered returns the records that a versioned table of Kafka Streams still knows of. The others are a value, or
// several, and a deletion, all of one key and one time.
func remembered(past []event) []event {
	known := make([]event, 0, len(past))
	for _, e := range past {
		known = append(known, e)
		if forgets(known) {
			known = slices.DeleteFunc(known, func(p event) bool { return sameRow(p, e) && p.Timestamp == e.Timestamp })
		}
	}
	return known
}

// forgets reports whether the last record is a deletion that Kafka Streams forgets, together with the value it deletes.
func forgets(known []event) bool {
	last := known[len(known)-1]
	if last.NullKey || !last.NullValue {
		return false
	}
	// A row of a segment ends at the time of the deletion if
	//   - a deletion of that time came before the value that is deleted,
	//   - there was a value before it when it came,
	//   - or a change came between it and the change before it, after it.
	deletes := false
	before := change{at: -1, deleted: true}
	for _, e := range known[:len(known)-1] {
		switch {
		case !sameRow(e, last):
		case e.Timestamp > last.Timestamp:
			return false // an old deletion is kept with the history
		case e.Timestamp < last.Timestamp:
			if e.Timestamp >= before.at {
				if deletes {
					return false
				}
				before = change{at: e.Timestamp, deleted: e.NullValue}
			}
		case e.NullValue, !deletes && !before.deleted:
			return false
		default:
			deletes = true
		}
	}
	return deletes
}

// change is a version of a row, or the gap after a deletion.
type change struct {
	at      int64
	deleted bool
}

// corrected returns the run with our answers in the steps in which Kafka Streams has forgotten a deletion, and their
// number. It fails if Kafka Streams says there something else than the definition that forgets.
func corrected(id string, r run) (run, int, error) {
	outputs := versionedTables()[id]
	if outputs == nil {
		return r, 0, nil
	}
	var past []event
	n := 0
	r.Steps = slices.Clone(r.Steps)
	for i := range r.Steps {
		s := &r.Steps[i]
		past = append(past, event{s.Topic == "b", s.record()})
		theirs, ours := outputs(past, tablesOnly(id, remembered)), outputs(past, all)
		if sameRecords(theirs, ours) {
			continue
		}
		if !sameRecords(theirs, s.records()) {
			return r, n, fmt.Errorf("topology %q, seed %d, step %d: Kafka Streams answers %s, want %s, since it has forgotten a deletion",
				id, r.Seed, i, showAll(s.records()), showAll(theirs))
		}
		n++
		s.Outputs = nil
		for _, out := range ours {
			s.Outputs = append(s.Outputs, newOutput(out))
		}
	}
	return r, n, nil
}

// tablesOnly applies seen to the records of tables and keeps the records of streams.
func tablesOnly(id string, seen func([]event) []event) func([]event) []event {
	if strings.HasPrefix(id, "table-table") {
		return seen
	}
	return func(past []event) []event {
		// The order between a stream and a table does not matter to a lookup of all that came before.
		var stream, table []event
		for _, e := range past {
			if e.right {
				table = append(table, e)
			} else {
				stream = append(stream, e)
			}
		}
		return append(seen(table), stream...)
	}
}

// The exception is as narrow as the fault: each way in which a row of a segment comes to end at the time of the
// deletion makes Kafka Streams remember it.
func TestForgottenDeletions(t *testing.T) {
	for _, c := range []struct {
		changes string // value@time, in the order of offsets; a dash is a deletion
		forgets bool
	}{
		{"a@5 -@5", true},
		{"a@5 b@5 -@5", true},
		{"x@1 -@3 a@5 -@5", true},
		{"a@5 -@5 b@5 -@5", true},

		{"-@5", false},
		{"a@4 -@5", false},
		{"a@5 -@6 -@6", false},
		{"-@5 a@5 -@5", false},
		{"x@3 a@5 -@5", false},
		{"x@3 a@5 b@5 -@5", false},
		{"a@5 x@3 -@5", false},
		{"x@1 -@3 a@5 b@4 -@5", false},
		{"x@1 -@3 a@5 -@4 -@5", false},
		{"a@5 b@7 -@5", false},
	} {
		var past []event
		for field := range strings.FieldsSeq(c.changes) {
			var value string
			var at int64
			_, err := fmt.Sscanf(strings.Replace(field, "@", " ", 1), "%s %d", &value, &at)
			require.NoError(t, err)
			past = append(past, event{right: true, Key: "A", Value: value, NullValue: value == "-", Timestamp: at})
			past = append(past, event{right: true, Key: "B", Value: "b", Timestamp: at - 1})
		}
		known := remembered(past)
		deletion := past[len(past)-2]
		require.Equal(t, !c.forgets, slices.ContainsFunc(known, func(e event) bool {
			return sameRow(e, deletion) && e.Timestamp == deletion.Timestamp
		}), c.changes)
		if !c.forgets {
			require.Equal(t, past, known, c.changes)
		}
	}
}

// Where Kafka Streams has forgotten a deletion, its own wrong answer is accepted, and no other one.
func TestForgottenDeletions_oneAnswer(t *testing.T) {
	const id = "stream-table-left-versioned"
	answered := func(value string) run {
		steps := []step{
			{Topic: "b", Value: new("a"), Timestamp: 301_000},
			{Topic: "b", Timestamp: 301_000},
			{Topic: "b", Value: new("b"), Timestamp: 299_000},
			{Topic: "a", Value: new("x"), Timestamp: 310_000, Outputs: []output{{Key: new("A"), Value: &value, Timestamp: 310_000}}},
		}
		for i := range steps {
			steps[i].Key = new("A")
		}
		return run{Steps: steps}
	}
	r, n, err := corrected(id, answered("(x,b)"))
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, "(x,null)", *r.Steps[3].Outputs[0].Value)
	define := programs(t)[id]
	replay(t, id, build(t, define), r)
	for _, wrong := range []string{"(x,null)", "(x,a)"} {
		_, _, err := corrected(id, answered(wrong))
		require.Error(t, err, wrong)
	}
}
