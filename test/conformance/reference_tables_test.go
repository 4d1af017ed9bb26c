package conformance_test

import (
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
)

// computedReference filters a table and maps its values, with a store or without one.
func computedReference(dice *rand.Rand) reference {
	ref := reference{name: "filtered and mapped table", after: randomChain(dice, false), outputs: computedOutputs}
	stored := dice.IntN(2) == 0
	if stored {
		ref.name, ref.rows = "stored "+ref.name, tableRows("o")
	}
	ref.define = func(b *topology.Builder, _, _ chain) stream {
		result := computed(tableOf(b, "a", "s"))
		if stored {
			result = result.Materialize("o", codecs.String)
		}
		return result.ToStream()
	}
	return ref
}

func computed(t table) table { return t.FilterNot(isX).MapValues(exclaimed).Filter(notB) }

func notB(_, value string) bool { return !strings.HasPrefix(value, "b") }

// computedRow is the row that computed makes of one.
func computedRow(value string, ok bool) (string, bool) {
	if !ok || isX("", value) || !notB("", value) {
		return "", false
	}
	return exclaimed(value), true
}

// computedOutputs has nothing for a change between two rows that do not pass.
func computedOutputs(past []event) []record {
	last := past[len(past)-1]
	if last.NullKey {
		return nil
	}
	old, _, had := row(past[:len(past)-1], false, last.Key)
	_, had = computedRow(old, had)
	value, has := computedRow(last.Value, !last.NullValue)
	if !had && !has {
		return nil
	}
	return []record{{Key: last.Key, Value: value, NullValue: !has, Timestamp: last.Timestamp}}
}

// streamComputedReference joins a stream with a table that has no store.
func streamComputedReference(dice *rand.Rand) reference {
	return reference{
		name: "join of a stream and a table without a store", left: randomChain(dice, false), after: randomChain(dice, false),
		define: func(b *topology.Builder, left, _ chain) stream {
			return left.build(source(b, "a")).JoinTable(computed(tableOf(b, "b", "r")), joined)
		},
		outputs: func(past []event) []record {
			last := past[len(past)-1]
			if last.right || last.NullKey || last.NullValue {
				return nil
			}
			value, _, ok := row(past, true, last.Key)
			if value, ok = computedRow(value, ok); !ok {
				return nil
			}
			return []record{{Key: last.Key, Value: joined(last.Value, value), Timestamp: last.Timestamp}}
		},
	}
}

// groupedTableReference groups a table and keeps the values of each group.
func groupedTableReference(dice *rand.Rand) reference {
	return reference{
		name: "grouped table", after: randomChain(dice, false), outputs: groupOutputs, rows: tableRows("t"),
		define: func(b *topology.Builder, _, _ chain) stream {
			byFirst := func(key, value string) (string, string) { return first(value), key + value }
			return tableOf(b, "a", "s").GroupBy("g", byFirst, codecs.String, codecs.String).
				Aggregate("t", none, sortedAdd, sortedRemove, codecs.String).ToStream()
		},
	}
}

// groupChange is what a change of a table does to a group: a value leaves it, one comes, or both at once.
type groupChange struct {
	group          string
	removed, added string // empty: none
	timestamp      int64
}

// groupChanges returns what the last record of a table does to the groups, which are the first letters of the values.
// The value that a row has in its group is key and value.
func groupChanges(past []event) []groupChange {
	last := past[len(past)-1]
	if last.NullKey {
		return nil
	}
	old, _, had := row(past[:len(past)-1], false, last.Key)
	leaves := groupChange{removed: last.Key + old, timestamp: last.Timestamp}
	comes := groupChange{added: last.Key + last.Value, timestamp: last.Timestamp}
	if had {
		leaves.group = first(old)
	}
	if !last.NullValue {
		comes.group = first(last.Value)
	}
	switch {
	case had && !last.NullValue && leaves.group == comes.group:
		comes.removed = leaves.removed
		return []groupChange{comes}
	case had && !last.NullValue:
		return []groupChange{leaves, comes}
	case had:
		return []groupChange{leaves}
	case !last.NullValue:
		return []groupChange{comes}
	}
	return nil
}

// groupOutputs returns the sorted values of each group that the last record changes, after each change.
func groupOutputs(past []event) (out []record) {
	var changes []groupChange
	last := 0
	for i := range past {
		last = len(changes)
		changes = append(changes, groupChanges(past[:i+1])...)
	}
	for i := last; i < len(changes); i++ {
		out = append(out, groupOf(changes[:i+1]))
	}
	return out
}

// groupOf returns the group that the last change is about.
func groupOf(changes []groupChange) record {
	r := record{Key: changes[len(changes)-1].group}
	for _, c := range changes {
		if c.group != r.Key {
			continue
		}
		if c.removed != "" {
			r.Value = sortedRemove("", c.removed, r.Value)
		}
		if c.added != "" {
			r.Value = sortedAdd("", c.added, r.Value)
		}
		r.Timestamp = max(r.Timestamp, c.timestamp)
	}
	return r
}

// sortedRemove removes a value from a sorted list.
func sortedRemove(_, value, all string) string {
	values := strings.Split(all, "+")
	if i := slices.Index(values, value); i >= 0 {
		values = slices.Delete(values, i, i+1)
	}
	return strings.Join(values, "+")
}
