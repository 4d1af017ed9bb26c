package conformance_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/topologytest"
)

// event is a record that reaches an operator, from the left (topic "a") or from the right (topic "b").
type event struct {
	right bool
	record
}

// reference is a program with an operator, and a second, naive definition of what the operator does: which outputs the
// last of all records that reached it has, computed from all of them.
type reference struct {
	name        string // with the parameters
	left, right chain  // before the operator
	define      func(b *topology.Builder, left, right chain) stream
	outputs     func(past []event) []record
	// rows reads the table of the operator; outputs are the updates of it. nil if it has none.
	rows func(d *topologytest.Driver) []record
	// kept says which rows are still there after all records; nil means all.
	kept func(past []event, row record) bool
	// after is what follows the operator.
	after chain
	// anyOrder says that the order of the outputs of one step is not defined.
	anyOrder bool
	// whole says that it is not even defined with which record they come.
	whole bool
}

// references returns makers of random programs, by the operator that is in the middle.
func references() map[string]func(dice *rand.Rand) reference {
	return map[string]func(dice *rand.Rand) reference{
		"count":                 countReference,
		"aggregate":             aggregateReference,
		"self-join":             selfJoinReference,
		"stream-stream-inner":   streamJoinReference("inner"),
		"stream-stream-left":    streamJoinReference("left"),
		"stream-stream-outer":   streamJoinReference("outer"),
		"stream-table-inner":    streamTableReference(false),
		"stream-table-left":     streamTableReference(true),
		"tumbling":              windowReference(randomTumbling),
		"hopping":               windowReference(randomHopping),
		"hopping-close":         windowCloseReference,
		"hopping-count":         windowCountReference,
		"session":               sessionReference,
		"session-close":         sessionCloseReference,
		"sliding":               slidingReference,
		"sliding-close":         slidingCloseReference,
		"table-group":           groupedTableReference,
		"suppress":              suppressReference,
		"stream-table-computed": streamComputedReference,
		"table-computed":        computedReference,
		"table-table-inner":     tableJoinReference("inner"),
		"table-table-left":      tableJoinReference("left"),
		"table-table-outer":     tableJoinReference("outer"),
	}
}

// TestReference compares random programs on random input with the naive definitions.
func TestReference(t *testing.T) {
	const programs, steps = 25, 80
	for name, random := range references() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, seed := range seeds(t, programs) {
				t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
					dice := rand.New(rand.NewPCG(seed, 0))
					ref := random(dice)
					r := run{
						Seed: int64(seed), Steps: ref.randomSteps(dice, steps), anyOrder: ref.anyOrder || ref.whole, whole: ref.whole,
					}
					past, updates := ref.answer(r.Steps)
					title := fmt.Sprintf("%v => %s => %v", [2]chain{ref.left, ref.right}, ref.name, ref.after)
					top := build(t, ref.program)
					ref.compareRows(t, title, replay(t, title, top, r), past, updates)
					ref.compareRows(t, title, replayInterrupted(t, title, top, r, seed), past, updates)
				})
			}
		})
	}
}

func (ref reference) program(b *topology.Builder) {
	out(ref.after.build(ref.define(b, ref.left, ref.right)))
}

// answer computes the outputs of all steps. It returns all records that reached the operator and all that left it.
func (ref reference) answer(steps []step) (past []event, updates []record) {
	for i := range steps {
		s, outputs := steps[i], &steps[i]
		if ref.whole {
			outputs = &steps[len(steps)-1]
		}
		right, before := s.Topic == "b", ref.left
		if right {
			before = ref.right
		}
		for _, r := range before.naive(s.record()) {
			past = append(past, event{right, r})
			for _, r := range ref.outputs(past) {
				updates = append(updates, r)
				for _, r := range ref.after.naive(r) {
					outputs.Outputs = append(outputs.Outputs, newOutput(r))
				}
			}
		}
	}
	return past, updates
}

func newOutput(r record) output {
	out := output{Timestamp: r.Timestamp}
	if !r.NullKey {
		out.Key = new(r.Key)
	}
	if !r.NullValue {
		out.Value = new(r.Value)
	}
	return out
}

// compareRows compares the final table with the last update of each key.
func (ref reference) compareRows(t *testing.T, title string, d *topologytest.Driver, past []event, updates []record) {
	t.Helper()
	if ref.rows == nil {
		return
	}
	last := make(map[string]record)
	for _, r := range updates {
		last[r.Key] = r
	}
	var want []record
	for _, r := range last {
		if !r.NullValue && (ref.kept == nil || ref.kept(past, r)) {
			want = append(want, r)
		}
	}
	got := ref.rows(d)
	byKey := func(a, b record) int { return strings.Compare(a.Key, b.Key) }
	slices.SortFunc(want, byKey)
	slices.SortFunc(got, byKey)
	require.True(t, sameRecords(want, got), "%s\n  the table has  %s\n  instead of     %s", title, showAll(got), showAll(want))
}

// randomSteps rolls input with few keys, null keys and values, records that are out of order or late, and jumps.
func (ref reference) randomSteps(dice *rand.Rand, n int) []step {
	topics := ref.topics()
	lag := 1 + dice.Int64N(maxLag)
	steps := make([]step, n)
	now := int64(0)
	for i := range steps {
		s := step{
			Topic: topics[dice.IntN(len(topics))],
			Key:   new(string(rune('A' + dice.IntN(3)))),
			Value: new(fmt.Sprintf("%c%d", "abcdx"[dice.IntN(5)], i)),
		}
		switch dice.IntN(15) {
		case 0:
			s.Key = nil
		case 1, 2:
			s.Value = nil
		}
		switch dice.IntN(10) {
		case 0:
			now += dice.Int64N(40)
		case 1, 2, 3, 4, 5, 6:
			now += dice.Int64N(3)
		}
		s.Timestamp = now
		if dice.IntN(3) == 0 {
			s.Timestamp = max(0, now-dice.Int64N(lag))
		}
		steps[i] = s
	}
	if ref.whole { // all that waits for its time shall come out
		for i := range 3 * len(topics) {
			now += 1000
			steps = append(steps, step{Topic: topics[i%len(topics)], Key: new("Z"), Value: new("b"), Timestamp: now})
		}
	}
	return steps
}

// maxLag is how late a record may be, in milliseconds.
const maxLag = 30

// nowOf returns the largest timestamp of the records for which counts returns true, -1 if there is none.
func nowOf(past []event, counts func(e event) bool) int64 {
	now := int64(-1)
	for _, e := range past {
		if counts(e) {
			now = max(now, e.Timestamp)
		}
	}
	return now
}

// usable reports whether a record has key and value.
func usable(e event) bool { return !e.NullKey && !e.NullValue }

// topics returns the topics that the program reads.
func (ref reference) topics() []string {
	b := topology.NewBuilder("topics")
	ref.program(b)
	top, err := b.Build()
	if err != nil {
		panic(err)
	}
	var topics []string
	for _, sub := range top.SubTopologies() {
		for _, in := range sub.Inputs() {
			if !in.Repartition {
				topics = append(topics, in.Topic)
			}
		}
	}
	return topics
}
