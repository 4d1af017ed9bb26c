package main

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/aggregates"
	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology/engine"
	"github.com/seed84377926/millrace/topology/topologytest"
)

// airportDriver returns a driver of the topology with the airlines loaded.
type airportDriver struct {
	*topologytest.Driver
	t      *testing.T
	flight *aggregates.Aggregate[Flight]
}

func newAirportDriver(t *testing.T, opts ...topologytest.Option) *airportDriver {
	t.Helper()
	top, err := newTopology()
	require.NoError(t, err)
	d := &airportDriver{Driver: topologytest.NewDriver(t, top, opts...), t: t, flight: newFlightAggregate()}
	airlines, err := readAirlines()
	require.NoError(t, err)
	topic := topologytest.Input(d.Driver, airlinesTopic, codecs.String, codecs.JSON[Airline]())
	for _, airline := range airlines {
		topic.Pipe(airline.Carrier, airline, tablesTime)
	}
	return d
}

// happen pipes events exactly as the edge writes them.
func (d *airportDriver) happen(id string, events ...aggregates.Event) {
	d.t.Helper()
	for _, event := range events {
		fact, err := d.flight.Encode(event)
		require.NoError(d.t, err)
		require.NoError(d.t, d.PipeRaw(eventsTopic, engine.RawRecord{Key: []byte(id), Value: fact.Data, Timestamp: fact.Time}))
	}
}

func (d *airportDriver) flights() []state.Entry[string, FlightView] {
	return topologytest.Rows(d.Driver, flightsStore, codecs.String, codecs.JSON[FlightView]())
}

func (d *airportDriver) departures() []state.Entry[string, FlightView] {
	return topologytest.Rows(d.Driver, departuresStore, codecs.String, codecs.JSON[FlightView]())
}

func (d *airportDriver) delays() []state.WindowEntry[string, Delays] {
	return topologytest.Windows(d.Driver, delaysStore, codecs.String, codecs.JSON[Delays]())
}

func (d *airportDriver) routes() map[string]int64 {
	routes := make(map[string]int64)
	for _, row := range topologytest.Rows(d.Driver, routesStore, codecs.String, codecs.Int64) {
		routes[row.Key] = row.Value
	}
	return routes
}

func TestTopology_flightRow(t *testing.T) {
	d := newAirportDriver(t)
	row := FlightView{
		ID: united1545, Date: "2013-01-15", Carrier: "UA", Number: 1545, Origin: "EWR", Destination: "IAH",
		TailNumber: "N14228", DistanceMiles: 1400, Status: Scheduled, ScheduledDeparture: at("10:15"),
	}
	for _, step := range []struct {
		event  aggregates.Event
		change func()
	}{
		{scheduled(), func() {}},
		{departed(), func() { row.Status, row.DepartedAt, row.DelayMinutes = Departed, new(at("10:19")), new(4) }},
		{arrived(), func() { row.Status, row.ArrivedAt = Arrived, new(at("14:06")) }},
	} {
		d.happen(united1545, step.event)
		step.change()

		flights := d.flights()
		require.Len(t, flights, 1)
		require.Equal(t, united1545, flights[0].Key)
		require.Equal(t, row, flights[0].Value)

		// The departure board has the same row.
		departures := d.departures()
		require.Len(t, departures, 1)
		require.Equal(t, "EWR 2013-01-15 2013-01-15T10:15:00Z 2013-01-15.UA.1545.EWR", departures[0].Key)
		require.Equal(t, row, departures[0].Value)
	}
}

func TestTopology_cancelledFlightNeverDeparted(t *testing.T) {
	d := newAirportDriver(t)
	d.happen(united1545, scheduled(), cancelled())
	require.Equal(t, Cancelled, d.flights()[0].Value.Status)
	require.Equal(t, at("10:15"), *d.flights()[0].Value.CancelledAt)
	require.Empty(t, d.delays())
	require.Empty(t, d.routes())
}

func TestTopology_departuresAreInOrder(t *testing.T) {
	d := newAirportDriver(t)
	schedule := func(id, clock string) {
		d.happen(id, FlightScheduled{ScheduledAt: at("08:00"), Destination: "LAX", ScheduledDeparture: at(clock)})
	}
	schedule("2013-01-15.UA.9.EWR", "12:00")
	schedule("2013-01-15.UA.10.EWR", "12:00")
	schedule("2013-01-15.DL.1.JFK", "09:00")
	schedule("2013-01-15.AA.3.EWR", "11:30")
	var keys []string
	for _, row := range d.departures() {
		keys = append(keys, row.Value.ID)
	}
	require.Equal(t, []string{"2013-01-15.AA.3.EWR", "2013-01-15.UA.10.EWR", "2013-01-15.UA.9.EWR", "2013-01-15.DL.1.JFK"}, keys)
}

func TestTopology_delaysByCarrierAndHour(t *testing.T) {
	d := newAirportDriver(t)
	depart := func(id, clock string, delay int) {
		d.happen(id, FlightDeparted{DepartedAt: at(clock), Route: "EWR-IAH", DelayMinutes: delay})
	}
	depart("2013-01-15.UA.1.EWR", "10:59", -7)
	depart("2013-01-15.UA.2.EWR", "11:00", -2)
	depart("2013-01-15.UA.3.EWR", "11:59", -10)
	depart("2013-01-15.UA.4.EWR", "10:00", 12)
	depart("2013-01-15.WN.5.EWR", "10:30", 90)

	hour := func(clock string) state.Window {
		return state.Window{Start: at(clock).UnixMilli(), End: at(clock).Add(time.Hour).UnixMilli()}
	}
	var got []state.WindowEntry[string, Delays]
	for _, row := range d.delays() {
		row.Timestamp = 0
		got = append(got, row)
	}
	require.Equal(t, []state.WindowEntry[string, Delays]{
		{Key: "UA", Window: hour("10:00"), Value: Delays{"United Air Lines Inc.", 2, 5, 12}},
		{Key: "UA", Window: hour("11:00"), Value: Delays{"United Air Lines Inc.", 2, -12, -2}},
		{Key: "WN", Window: hour("10:00"), Value: Delays{"Southwest Airlines Co.", 1, 90, 90}},
	}, got)
	require.InDelta(t, 2.5, got[0].Value.Mean(), 0)
}

func TestTopology_carrierThatIsNoAirline(t *testing.T) {
	d := newAirportDriver(t)
	d.happen("2013-01-15.ZZ.1.EWR", departed())
	require.Empty(t, d.delays(), "there is no name to join")
	require.Equal(t, map[string]int64{"EWR-IAH": 1}, d.routes(), "routes do not ask for the airline")
}

func TestTopology_nothingIsLate(t *testing.T) {
	d := newAirportDriver(t)
	d.happen("2099-12-31.UA.1.EWR", FlightDeparted{DepartedAt: time.Date(2099, 12, 31, 23, 59, 0, 0, time.UTC), Route: "EWR-IAH"})
	d.happen("1970-01-01.UA.1.EWR", FlightDeparted{DepartedAt: time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC), Route: "EWR-IAH"})
	d.happen(united1545, departed())
	require.Len(t, d.delays(), 3)
	require.Empty(t, d.Drops())
}

// Neither the order of events of different flights nor crashes change the result.
func TestTopology_firstDaysInAnyOrder(t *testing.T) {
	flights, err := readFlights()
	require.NoError(t, err)
	flights = firstDays(flights, 2)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, seed))
	dice.Shuffle(len(flights), func(i, j int) { flights[i], flights[j] = flights[j], flights[i] })

	d := newAirportDriver(t, topologytest.CommitRandomly(seed), topologytest.CacheBytes(64<<10))
	for _, f := range flights {
		d.happen(f.ID.String(), eventsOf(f)...)
		if dice.IntN(200) == 0 {
			d.Crash()
		}
		if dice.IntN(500) == 0 {
			d.Restore()
		}
	}

	require.Empty(t, d.Drops())
	require.Len(t, d.flights(), 1785)
	require.Len(t, d.departures(), 1785)
	byStatus := make(map[Status]int)
	for _, row := range d.flights() {
		byStatus[row.Value.Status]++
	}
	require.Equal(t, map[Status]int{Cancelled: 12, Departed: 14, Arrived: 1759}, byStatus)
	var onRoutes, inWindows int
	for _, n := range d.routes() {
		onRoutes += int(n)
	}
	for _, row := range d.delays() {
		inWindows += row.Value.Departures
	}
	require.Equal(t, 1773, onRoutes)
	require.Equal(t, 1773, inWindows)
	require.Len(t, d.routes(), 176)
}

// eventsOf returns the events of a flight.
func eventsOf(f FlightRow) []aggregates.Event {
	planned, departedAt := f.ScheduledDeparture, f.ScheduledDeparture.Add(f.DepartureDelay)
	events := []aggregates.Event{FlightScheduled{
		ScheduledAt: planned.Add(-scheduledAhead), Destination: f.Destination, ScheduledDeparture: planned,
		TailNumber: f.TailNumber, DistanceMiles: f.DistanceMiles,
	}}
	if !f.Departed {
		return append(events, FlightCancelled{CancelledAt: planned})
	}
	events = append(events, FlightDeparted{
		DepartedAt: departedAt, Route: f.ID.Origin + "-" + f.Destination, DelayMinutes: int(f.DepartureDelay / time.Minute),
	})
	if f.AirTime > 0 {
		events = append(events, FlightArrived{ArrivedAt: departedAt.Add(f.AirTime)})
	}
	return events
}
