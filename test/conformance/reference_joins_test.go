package conformance_test

import (
	"fmt"
	"math/rand/v2"
	"time"

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

// rowAt returns what the right side has for a key as of a time: the value of the latest record until then, by
// timestamps.
func rowAt(past []event, key string, at int64) (value string, ok bool) {
	latest := int64(-1)
	for _, e := range past {
		if e.right && !e.NullKey && e.Key == key && latest <= e.Timestamp && e.Timestamp <= at {
			latest, value, ok = e.Timestamp, e.Value, !e.NullValue
		}
	}
	return value, ok
}

// streamTable is a join of a stream with a table.
type streamTable struct {
	left      bool // records without a row have results
	versioned bool
	grace     int64 // of a versioned table, in milliseconds; negative: none
}

func (j streamTable) String() string {
	return fmt.Sprintf("stream-table join left=%v versioned=%v grace=%d", j.left, j.versioned, j.grace)
}

// join joins a stream with a table in our DSL.
func (j streamTable) join(b *topology.Builder, left stream) stream {
	opts := []topology.TableOption{topology.Named("r")}
	if j.versioned {
		opts = append(opts, topology.Versioned(time.Minute))
	}
	rows := topology.TableOf(b, "b", codecs.String, codecs.String, opts...)
	switch {
	case j.grace >= 0 && j.left:
		return left.LeftJoinTableWithGrace("g", rows, millis(j.grace), leftJoined, codecs.String)
	case j.grace >= 0:
		return left.JoinTableWithGrace("g", rows, millis(j.grace), joined, codecs.String)
	case j.left:
		return left.LeftJoinTable(rows, leftJoined)
	default:
		return left.JoinTable(rows, joined)
	}
}

// outputs are the results for the records whose grace is over with the last one.
func (j streamTable) outputs(past []event) (out []record) {
	last := past[len(past)-1]
	if last.right {
		return nil
	}
	ofStream := func(e event) bool { return !e.right && usable(e) }
	before, now := nowOf(past[:len(past)-1], ofStream), nowOf(past, ofStream)
	for i, e := range past {
		isLast := i == len(past)-1
		waits := j.grace >= 0 && usable(e)
		if e.right || !waits && !isLast || waits && (e.Timestamp > now-j.grace || !isLast && e.Timestamp <= before-j.grace) {
			continue
		}
		if r, ok := j.result(past, e); ok {
			out = append(out, r)
		}
	}
	return out
}

func (j streamTable) result(past []event, e event) (r record, ok bool) {
	if e.NullValue || e.NullKey && !j.left {
		return r, false
	}
	r = e.record
	var value string
	switch {
	case e.NullKey:
	case j.versioned:
		value, ok = rowAt(past, e.Key, e.Timestamp)
	default:
		value, _, ok = row(past, true, e.Key)
	}
	if !ok {
		value = "null"
	}
	r.Value = joined(e.Value, value)
	return r, ok || j.left
}

func streamTableReference(left bool) func(dice *rand.Rand) reference {
	return func(dice *rand.Rand) reference {
		j := streamTable{left: left, versioned: dice.IntN(3) > 0, grace: -1}
		if j.versioned && dice.IntN(2) == 0 {
			j.grace = dice.Int64N(20)
		}
		return reference{
			name: j.String(), left: randomChain(dice, false), after: randomChain(dice, false), anyOrder: j.grace >= 0,
			outputs: j.outputs,
			define:  func(b *topology.Builder, left, _ chain) stream { return j.join(b, left.build(source(b, "a"))) },
		}
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
