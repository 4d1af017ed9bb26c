package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// report is a result that can print itself as a table. As JSON, its fields are printed.
type report interface {
	writeTable(w io.Writer) error
}

// print writes r in the format of -o.
func (o *options) print(w io.Writer, r report) error {
	write := r.writeTable
	if o.output == "json" {
		write = func(w io.Writer) error {
			encoder := json.NewEncoder(w)
			encoder.SetIndent("", "  ")
			return encoder.Encode(r)
		}
	}
	if err := write(w); err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	return nil
}

// table aligns rows in columns.
type table struct{ w *tabwriter.Writer }

// newTable starts a table with its heading.
func newTable(w io.Writer, heading ...string) table {
	t := table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	t.row(heading...)
	return t
}

// row adds a line. Write errors are returned by end.
func (t table) row(cells ...string) { fmt.Fprintln(t.w, strings.Join(cells, "\t")) }

// end writes the table.
func (t table) end() error { return t.w.Flush() }

// number formats a count. A negative count is unknown.
func number(n int64) string {
	if n < 0 {
		return "-"
	}
	return strconv.FormatInt(n, 10)
}

// bytes formats a size with a binary unit. A negative size is unknown.
func bytes(n int64) string {
	if n < 0 {
		return "-"
	}
	if n < 1024 {
		return strconv.FormatInt(n, 10) + " B"
	}
	size, unit := float64(n), 0
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	for size >= 1024 && unit < len(units)-1 {
		size, unit = size/1024, unit+1
	}
	if size >= 10 {
		return strconv.Itoa(int(math.Round(size))) + " " + units[unit]
	}
	return strconv.FormatFloat(size, 'f', 1, 64) + " " + units[unit]
}

// retention formats a topic's retention.ms.
func retention(ms *int64) string {
	switch {
	case ms == nil:
		return "-"
	case *ms < 0:
		return "forever"
	}
	d := time.Duration(*ms) * time.Millisecond
	if day := 24 * time.Hour; d >= day && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	return d.String()
}
