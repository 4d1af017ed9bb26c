package main

import (
	"compress/gzip"
	"embed"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"
)

// dataFiles holds the published data of January 2013. Source and licence are in data/README.md.
//
//go:embed data/*.csv.gz
var dataFiles embed.FS

// notAvailable marks an unknown value in the data.
const notAvailable = "NA"

// FlightRow is one line of flights.csv: the plan and the outcome of a flight.
type FlightRow struct {
	ID                 FlightID
	Destination        string
	TailNumber         string // empty if unknown
	DistanceMiles      int
	ScheduledDeparture time.Time     // UTC
	Departed           bool          // false: cancelled
	DepartureDelay     time.Duration // whole minutes, negative if early; 0 unless Departed
	AirTime            time.Duration // whole minutes; 0 if unknown: the flight was diverted, or never landed
}

// readFlights parses flights.csv. It fails at the first invalid row and at a repeated id.
func readFlights() ([]FlightRow, error) {
	seen := make(map[FlightID]bool)
	return readTable("flights", func(r *csvRow) FlightRow {
		f := FlightRow{
			ID: FlightID{
				Date:    fmt.Sprintf("%04d-%02d-%02d", r.integer("year"), r.integer("month"), r.integer("day")),
				Carrier: r.text("carrier"),
				Number:  r.integer("flight"),
				Origin:  r.text("origin"),
			},
			Destination:        r.text("dest"),
			TailNumber:         r.optionalText("tailnum"),
			DistanceMiles:      r.integer("distance"),
			ScheduledDeparture: r.utc("time_hour").Add(r.minutes("minute")),
			Departed:           r.known("dep_time"),
		}
		if f.Departed {
			f.DepartureDelay = r.minutes("dep_delay")
		}
		if r.known("air_time") {
			f.AirTime = r.minutes("air_time")
		}
		switch {
		case seen[f.ID]:
			r.fail(fmt.Errorf("flight %s is there twice", f.ID))
		case f.AirTime < 0 || r.known("air_time") && f.AirTime == 0:
			r.fail(fmt.Errorf("air_time %v is not positive", f.AirTime))
		case f.AirTime > 0 && !f.Departed:
			r.fail(errors.New("air_time is known but dep_time is not"))
		}
		seen[f.ID] = true
		return f
	})
}

// readTable parses data/<name>.csv.gz and calls parse for each row after the header. The error names the file and the
// line.
func readTable[T any](name string, parse func(*csvRow) T) (rows []T, err error) {
	file, err := dataFiles.Open("data/" + name + ".csv.gz")
	if err != nil {
		return nil, fmt.Errorf("open table %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		return nil, fmt.Errorf("unzip table %s: %w", name, err)
	}
	rows, err = parseCSV(unzipped, parse)
	if err != nil {
		return nil, fmt.Errorf("%s.csv: %w", name, err)
	}
	return rows, nil
}

// parseCSV reads a header and rows that have as many fields as the header.
func parseCSV[T any](in io.Reader, parse func(*csvRow) T) ([]T, error) {
	reader := csv.NewReader(in)
	reader.ReuseRecord = true
	header, err := reader.Read()
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	columns := slices.Clone(header)
	var rows []T
	for {
		fields, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, err // it names the line
		}
		r := csvRow{columns: columns, fields: fields}
		row := parse(&r)
		if r.err != nil {
			line, _ := reader.FieldPos(0)
			return nil, fmt.Errorf("line %d: %w", line, r.err)
		}
		rows = append(rows, row)
	}
}

// csvRow reads the fields of one row by column name. It keeps the first error, so that a parser is a plain list of
// fields.
type csvRow struct {
	columns, fields []string
	err             error
}

func (r *csvRow) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// field returns the value of a column, which may be NA.
func (r *csvRow) field(column string) string {
	i := slices.Index(r.columns, column)
	if i < 0 {
		r.fail(fmt.Errorf("there is no column %s", column))
		return ""
	}
	return r.fields[i]
}

// known reports whether the field is not NA.
func (r *csvRow) known(column string) bool { return r.field(column) != notAvailable }

// text returns a field that must not be NA.
func (r *csvRow) text(column string) string {
	s := r.field(column)
	if s == "" || s == notAvailable {
		r.fail(fmt.Errorf("%s is missing", column))
	}
	return s
}

// optionalText returns a field, or "" if it is NA.
func (r *csvRow) optionalText(column string) string {
	if !r.known(column) {
		return ""
	}
	return r.field(column)
}

func (r *csvRow) integer(column string) int { return number(r, column, strconv.Atoi) }

func (r *csvRow) minutes(column string) time.Duration {
	return time.Duration(r.integer(column)) * time.Minute
}

func (r *csvRow) utc(column string) time.Time {
	return number(r, column, func(s string) (time.Time, error) { return time.Parse(time.RFC3339, s) }).UTC()
}

// optionalInteger returns nil if the field is NA.
func (r *csvRow) optionalInteger(column string) *int {
	if !r.known(column) {
		return nil
	}
	return new(r.integer(column))
}

// optionalFloat returns nil if the field is NA.
func (r *csvRow) optionalFloat(column string) *float64 {
	if !r.known(column) {
		return nil
	}
	return new(r.float(column))
}

func (r *csvRow) float(column string) float64 {
	return number(r, column, func(s string) (float64, error) { return strconv.ParseFloat(s, 64) })
}

// number parses a field that must not be NA.
func number[T any](r *csvRow, column string, parse func(string) (T, error)) T {
	v, err := parse(r.text(column))
	if err != nil {
		r.fail(fmt.Errorf("%s: %w", column, err))
	}
	return v
}
