package conformance_test

import (
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// joinTables are the tables of upstream's AbstractJoinIntegrationTest and the tests built on it: joins of one key, step
// by step.
type joinTables struct {
	Inputs map[string][]joinRecord `json:"inputs"`
	Cases  []joinCase              `json:"cases"`
}

// joinCase is one test of upstream.
type joinCase struct {
	File      string   `json:"file"`
	Test      string   `json:"test"`
	Ops       []string `json:"ops"`       // join, leftJoin or outerJoin, one or two
	Window    *string  `json:"window"`    // of a stream-stream join, as upstream writes it
	Versioned []string `json:"versioned"` // the stores that keep versions, as upstream writes them
	Input     string   `json:"input"`
	// Expected are the outputs of each step.
	Expected [][]joinRecord `json:"expected"`
	// RowsOK says that the extraction of the table checked that it has a row for each input.
	RowsOK bool `json:"rows_ok"`
}

type joinRecord struct {
	Side      string  `json:"side"` // of an input: L or R
	Key       *int64  `json:"key"`
	Value     *string `json:"value"`
	Timestamp int64   `json:"ts"`
}

// joinException is a step of a join table whose outputs differ from ours on purpose.
type joinException struct {
	step int
	// outputs are ours.
	outputs []output
	reason  string
}

// joinExceptions has the exceptions by the name of the case. There are none: in these tables no record that is out of
// order stays unmatched, so KAFKA-19536, which we do not copy, has no effect.
func joinExceptions() map[string][]joinException { return map[string][]joinException{} }

func TestJoinTables(t *testing.T) {
	var tables joinTables
	load(t, filepath.Join("testdata", "join_tables.json"), &tables)
	require.Len(t, tables.Cases, 35)
	programs, exceptions := joinTablePrograms(), joinExceptions()
	for _, c := range tables.Cases {
		name := c.File + "/" + c.Test
		define, exception := programs[name], exceptions[name]
		delete(programs, name)
		delete(exceptions, name)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if define == nil {
				t.Fatal("no program is defined")
			}
			r := c.run(t, tables.Inputs[c.Input])
			for _, e := range exception {
				s := &r.Steps[e.step]
				if sameRecords(s.records(), step{Outputs: e.outputs}.records()) {
					t.Fatalf("step %d: the exception is none: %s", e.step, e.reason)
				}
				s.Outputs = e.outputs
			}
			top := build(t, define)
			replay(t, name, top, r)
			for _, seed := range seeds(t, 3) {
				t.Run("interrupted="+strconv.FormatUint(seed, 10), func(t *testing.T) { replayInterrupted(t, name, top, r, seed) })
			}
		})
	}
	require.Empty(t, programs, "programs of no case")
	require.Empty(t, exceptions, "exceptions of no case")
}

// run returns the case as a recording has it: the left side is topic "a", the right side is topic "b".
func (c joinCase) run(t *testing.T, inputs []joinRecord) run {
	t.Helper()
	require.NotEmpty(t, inputs, "input %q", c.Input)
	require.Len(t, c.Expected, len(inputs))
	require.True(t, c.RowsOK)
	var r run
	for i, in := range inputs {
		s := step{Topic: "a", Key: in.key(), Value: in.Value, Timestamp: in.Timestamp}
		if in.Side == "R" {
			s.Topic = "b"
		}
		for _, out := range c.Expected[i] {
			s.Outputs = append(s.Outputs, output{Key: out.key(), Value: out.Value, Timestamp: out.Timestamp})
		}
		r.Steps = append(r.Steps, s)
	}
	return r
}

func (r joinRecord) key() *string {
	if r.Key == nil {
		return nil
	}
	return new(strconv.FormatInt(*r.Key, 10))
}
