package conformance_test

import (
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology/topologytest"
)

// docGrace is the grace of the documentation's join of two streams.
const docGrace = 5 * time.Second

// docExceptions are the rows of a column whose cells differ from ours, with our cells. According to upstream's
// documentation a record comes out alone when stream time reaches the end of its window and grace. In Kafka Streams
// itself it does so when stream time has passed the end, as the recordings show, and so it does here: one record later.
func docExceptions() map[string]map[string]string {
	return map[string]map[string]string{
		"stream_stream/LEFT JOIN": {
			"60":  "",          // E, at 40, is alone until 60
			"80":  "[E, null]", // F, at 60, is alone until 80
			"100": "[F, null]",
		},
		"stream_stream/OUTER JOIN": {
			"60":  "",
			"80":  "[E, null]",
			"100": "[F, null]", // f, at 80, is alone until 100
		},
	}
}

// The tables of upstream's documentation: the first row has the titles; the first column is the time in seconds, the
// second and third are the records of both sides, all others are the results of each kind of join.
func TestDocTables(t *testing.T) {
	var tables map[string][][]string
	load(t, filepath.Join("testdata", "doc_tables.json"), &tables)
	require.Len(t, tables, 4)
	programs, exceptions := docPrograms(docGrace), docExceptions()
	shorter := docPrograms(docGrace - time.Millisecond)
	for table, rows := range tables {
		for column, title := range rows[0][3:] {
			name := table + "/" + title
			define, exception := programs[name], exceptions[name]
			delete(programs, name)
			delete(exceptions, name)
			t.Run(name, func(t *testing.T) {
				if define == nil {
					t.Fatal("no program is defined")
				}
				runDocTable(t, define, rows[1:], column+3, exception)
			})
			if exception != nil {
				t.Run(name+", one millisecond less grace", func(t *testing.T) {
					runDocTable(t, shorter[name], rows[1:], column+3, nil)
				})
			}
		}
	}
	require.Empty(t, programs, "programs of no table")
	require.Empty(t, exceptions, "exceptions of no table")
}

func runDocTable(t *testing.T, define program, rows [][]string, column int, exceptions map[string]string) {
	t.Helper()
	left := maps.Clone(exceptions)
	d := topologytest.NewDriver(t, build(t, define))
	out := topologytest.Output(d, "out", codecs.String, codecs.String)
	for _, row := range rows {
		if row[0] == "..." { // time passes
			continue
		}
		seconds, err := strconv.ParseInt(row[0], 10, 64)
		require.NoError(t, err)
		// Where a row has both sides, only the right one first leads to what the documentation says.
		for side, topic := range slices.Backward([]string{"a", "b"}) {
			if cell := row[1+side]; cell != "" {
				topologytest.Input(d, topic, codecs.String, codecs.String).PipeRecord(docRecord(cell, seconds*1000))
			}
		}
		var cells []string
		for _, r := range out.Drain() {
			cells = append(cells, docCell(r, strings.HasPrefix(row[1]+row[2], "(")))
		}
		want := row[column]
		if cell, ok := exceptions[row[0]]; ok {
			require.NotEqual(t, want, cell, "row %s: the exception is none", row[0])
			want = cell
			delete(left, row[0])
		}
		require.Equal(t, want, strings.Join(cells, ", "), "row %s: left %q, right %q", row[0], row[1], row[2])
	}
	require.Empty(t, left, "exceptions of no row")
}

// docRecord reads a cell: a value of the one key there is, or "(key,value)". A foreign key that is null is not a null
// value.
func docRecord(cell string, timestamp int64) record {
	key, value, pair := strings.Cut(strings.Trim(cell, "()"), ",")
	if !pair {
		return record{Key: "k", Value: strings.TrimPrefix(key, "null"), NullValue: key == "null", Timestamp: timestamp}
	}
	return record{Key: key, Value: value, Timestamp: timestamp}
}

// docCell writes an output as the documentation does, with its key if pairs is set.
func docCell(r record, pairs bool) string {
	value := r.Value
	if r.NullValue {
		value = "null"
	}
	if pairs {
		return "(" + r.Key + "," + value + ")"
	}
	return value
}
