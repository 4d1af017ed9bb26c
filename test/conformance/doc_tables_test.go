package conformance_test

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology/topologytest"
)

// The tables of upstream's documentation: the first row has the titles; the first column is the time in seconds, the second
// and third are the records of both sides, all others are what each kind of join makes of them.
func TestDocTables(t *testing.T) {
	var tables map[string][][]string
	load(t, filepath.Join("testdata", "doc_tables.json"), &tables)
	require.Len(t, tables, 4)
	programs := docPrograms()
	for table, rows := range tables {
		for column, title := range rows[0][3:] {
			name := table + "/" + title
			define := programs[name]
			delete(programs, name)
			t.Run(name, func(t *testing.T) {
				if define == nil {
					t.Skip("an operator is missing")
				}
				runDocTable(t, define, rows[1:], column+3)
			})
		}
	}
	require.Empty(t, programs, "programs of no table")
}

func runDocTable(t *testing.T, define program, rows [][]string, column int) {
	t.Helper()
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
		require.Equal(t, row[column], strings.Join(cells, ", "), "row %s: left %q, right %q", row[0], row[1], row[2])
	}
}

// docRecord reads a cell: a value of the one key there is, or "(key,value)". A foreign key that is null is not a null value.
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
