package conformance_test

import (
	"math/rand/v2"

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
			if last.right || last.NullKey || last.NullValue {
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
