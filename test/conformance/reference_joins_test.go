package conformance_test

import (
	"math/rand/v2"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
)

// row returns what a side has for a key after all records: the value of the last one, whatever its timestamp.
func row(past []event, right bool, key string) (value string, timestamp int64, ok bool) {
	for _, e := range past {
		if e.right == right && !e.NullKey && e.Key == key {
			value, timestamp, ok = e.Value, e.Timestamp, !e.NullValue
		}
	}
	return value, timestamp, ok
}

func streamTableReference(dice *rand.Rand) reference {
	return reference{
		name:  "stream-table join",
		left:  randomChain(dice, false),
		after: randomChain(dice, false),
		define: func(b *topology.Builder, left, _ chain) stream {
			return left.build(source(b, "a")).JoinTable(tableOf(b, "b", "r"), joined)
		},
		outputs: func(past []event) []record {
			last := past[len(past)-1]
			if last.right || !usable(last) {
				return nil
			}
			value, _, ok := row(past, true, last.Key)
			if !ok {
				return nil
			}
			return []record{{Key: last.Key, Value: joined(last.Value, value), Timestamp: last.Timestamp}}
		},
	}
}

// tableJoinReference joins two tables.
func tableJoinReference(kind string) func(dice *rand.Rand) reference {
	return func(dice *rand.Rand) reference {
		ref := reference{
			name:    kind + " join of tables",
			after:   randomChain(dice, false),
			outputs: func(past []event) []record { return tableJoinOutputs(past, kind) },
		}
		stored := dice.IntN(2) == 0
		if stored {
			ref.name, ref.rows = "stored "+ref.name, tableRows("o")
		}
		ref.define = func(b *topology.Builder, _, _ chain) stream {
			result := tableJoins(joined)[kind](tableOf(b, "a", "l"), tableOf(b, "b", "r"))
			if stored {
				result = result.Materialize("o", codecs.String)
			}
			return result.ToStream()
		}
		return ref
	}
}

// tableJoinOutputs are the updates of a join of two tables by the last record.
func tableJoinOutputs(past []event, kind string) []record {
	last := past[len(past)-1]
	if last.NullKey {
		return nil
	}
	_, _, had := row(past[:len(past)-1], last.right, last.Key)
	other, timestamp, hasOther := row(past, !last.right, last.Key)
	has := !last.NullValue
	needsOther := kind == "inner" || kind == "left" && last.right
	if !hasOther && (needsOther || !has && !had) {
		return nil
	}
	r := record{Key: last.Key, Timestamp: last.Timestamp}
	if hasOther {
		r.Timestamp = max(r.Timestamp, timestamp)
	}
	left, right, hasLeft, hasRight := last.Value, other, has, hasOther
	if last.right {
		left, right, hasLeft, hasRight = right, left, hasRight, hasLeft
	}
	switch kind {
	case "inner":
		r.NullValue = !hasLeft || !hasRight
	case "left":
		r.NullValue = !hasLeft
	default:
		r.NullValue = !hasLeft && !hasRight
	}
	if !hasLeft {
		left = "null"
	}
	if !hasRight {
		right = "null"
	}
	if !r.NullValue {
		r.Value = joined(left, right)
	}
	return []record{r}
}
