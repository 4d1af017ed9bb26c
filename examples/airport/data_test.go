package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestReadFlights_isJanuary(t *testing.T) {
	flights, err := readFlights()
	require.NoError(t, err)
	var cancelled, departed, arrived int
	for _, f := range flights {
		require.True(t, strings.HasPrefix(f.ID.Date, "2013-01-"))
		parsed, err := ParseFlightID(f.ID.String())
		require.NoError(t, err)
		require.Equal(t, f.ID, parsed)
		require.True(t, f.ID.leavesOn(f.ScheduledDeparture))
		switch {
		case !f.Departed:
			cancelled++
		case f.AirTime > 0:
			arrived++
			fallthrough
		default:
			departed++
		}
	}
	require.Len(t, flights, 27004)
	require.Equal(t, 521, cancelled)
	require.Equal(t, 26483, departed)
	require.Equal(t, 26398, arrived)
	require.Equal(t, FlightRow{
		ID:                 FlightID{Date: "2013-01-01", Carrier: "UA", Number: 1545, Origin: "EWR"},
		Destination:        "IAH",
		TailNumber:         "N14228",
		DistanceMiles:      1400,
		ScheduledDeparture: time.Date(2013, 1, 1, 10, 15, 0, 0, time.UTC),
		Departed:           true,
		DepartureDelay:     2 * time.Minute,
		AirTime:            227 * time.Minute,
	}, flights[0])
}

func TestReadTables(t *testing.T) {
	airlines, err := readAirlines()
	require.NoError(t, err)
	require.Len(t, airlines, 16)
	require.Equal(t, Airline{Carrier: "9E", Name: "Endeavor Air Inc."}, airlines[0])

	airports, err := readAirports()
	require.NoError(t, err)
	require.Len(t, airports, 1458)

	planes, err := readPlanes()
	require.NoError(t, err)
	require.Len(t, planes, 3322)

	weather, err := readWeather()
	require.NoError(t, err)
	require.Len(t, weather, 2226)
	keys := make(map[string]bool)
	for _, w := range weather {
		keys[weatherKey(w.Origin, w.Hour)] = true
	}
	require.Len(t, keys, len(weather), "keys repeat")
	require.Contains(t, keys, "EWR 2013-01-01T06Z")
}

func TestParseCSV_badRows(t *testing.T) {
	parse := func(r *csvRow) time.Duration {
		_ = r.text("carrier")
		return r.minutes("delay")
	}
	for _, c := range []struct{ name, csv, want string }{
		{"empty file", "", "header: EOF"},
		{"not a number", "carrier,delay\nUA,5\nAA,x\n", `line 3: delay: strconv.Atoi: parsing "x": invalid syntax`},
		{"missing", "carrier,delay\nUA,NA\n", "line 2: delay is missing"},
		{"empty", "carrier,delay\n,5\n", "line 2: carrier is missing"},
		{"too few fields", "carrier,delay\nUA\n", "record on line 2: wrong number of fields"},
		{"too many fields", "carrier,delay\nUA,5,6\n", "record on line 2: wrong number of fields"},
		{"bare quote", "carrier,delay\nU\"A,5\n", "parse error on line 2"},
		{"no such column", "airline,delay\nUA,5\n", "line 2: there is no column carrier"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parseCSV(strings.NewReader(c.csv), parse)
			require.ErrorContains(t, err, c.want)
		})
	}
	rows, err := parseCSV(strings.NewReader("carrier,delay\nUA,5\nAA,-3\n"), parse)
	require.NoError(t, err)
	require.Equal(t, []time.Duration{5 * time.Minute, -3 * time.Minute}, rows)
}

func TestCommandsOf(t *testing.T) {
	flights, err := readFlights()
	require.NoError(t, err)
	commands, err := commandsOf(flights)
	require.NoError(t, err)
	require.Len(t, commands, 27004+521+26483+26398)

	keys := make(map[string]bool, len(commands))
	rank := map[string]int{"schedule": 1, "depart": 2, "cancel": 2, "arrive": 3}
	last := make(map[FlightID]int)
	before := commands[0].At
	for _, c := range commands {
		require.False(t, c.At.Before(before), "%s is out of order", c.Key())
		before = c.At
		require.Equal(t, last[c.Flight]+1, rank[c.Name], "%s is out of order", c.Key())
		last[c.Flight]++
		keys[c.Key()] = true
	}
	require.Len(t, keys, len(commands), "idempotency keys repeat")
	require.Equal(t, "2013-01-01.UA.1545.EWR/schedule", commands[0].Key())
	require.JSONEq(t, `{"occurredAt":"2013-01-01T08:15:00Z","scheduledDeparture":"2013-01-01T10:15:00Z",
		"destination":"IAH","tailNumber":"N14228","distanceMiles":1400}`, string(commands[0].Body))
}

func TestFirstDays(t *testing.T) {
	flights, err := readFlights()
	require.NoError(t, err)
	require.Len(t, firstDays(flights, 2), 1785)
	require.Len(t, firstDays(flights, 31), len(flights))
}
