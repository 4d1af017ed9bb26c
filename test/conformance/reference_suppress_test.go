package conformance_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/seed84377926/millrace/topology"
)

// suppression holds updates back for a time, in milliseconds.
type suppression struct {
	limit   int64
	records int // 0 is no bound
}

func (s suppression) String() string { return fmt.Sprintf("limit=%d records=%d", s.limit, s.records) }

func (s suppression) topology() topology.Suppression {
	until := topology.UntilTimeLimit(millis(s.limit))
	if s.records > 0 {
		until = until.MaxRecords(int64(s.records))
	}
	return until
}

// heldUpdate is the last update of a key, and the timestamp of the first one that was held back.
type heldUpdate struct {
	since int64
	record
}

// outputs are the updates that come out with the last one: those whose time is over, then the oldest if there are too
// many.
func (s suppression) outputs(past []event) (out []record) {
	var held []heldUpdate
	now := int64(-1)
	for _, e := range past {
		if out = nil; e.NullKey {
			continue
		}
		now = max(now, e.Timestamp)
		update := heldUpdate{e.Timestamp, e.record}
		if i := slices.IndexFunc(held, func(h heldUpdate) bool { return h.Key == e.Key }); i >= 0 {
			update.since = held[i].since
			held = slices.Delete(held, i, i+1)
		}
		held = append(held, update)
		slices.SortFunc(held, func(a, b heldUpdate) int {
			return cmp.Or(cmp.Compare(a.since, b.since), strings.Compare(a.Key, b.Key))
		})
		for len(held) > 0 && (held[0].since <= now-s.limit || s.records > 0 && len(held) > s.records) {
			out = append(out, held[0].record)
			held = held[1:]
		}
	}
	return out
}

func suppressReference(dice *rand.Rand) reference {
	s := suppression{limit: dice.Int64N(20), records: dice.IntN(4)}
	return reference{
		name: "suppress " + s.String(), after: randomChain(dice, false), outputs: s.outputs,
		define: func(b *topology.Builder, _, _ chain) stream {
			return tableOf(b, "a", "s").Suppress("suppressed", s.topology()).ToStream()
		},
	}
}
