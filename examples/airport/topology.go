package main

import (
	"math"
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
)

// Topics. All have the same number of partitions, as joins require.
const (
	partitions    = 4
	eventsTopic   = "airport.flight.events"
	airlinesTopic = "airlines"
	airportsTopic = "airports"
	planesTopic   = "planes"
	weatherTopic  = "weather"
)

// Stores. Views read them by these names. The store of a table is named like its topic.
const (
	flightsStore    = "flights"
	departuresStore = "departures-by-origin"
	delaysStore     = "delays-by-carrier"
	routesStore     = "departures-by-route"
)

// lateness is the grace of the hourly windows. It is so long that no departure is ever late: all times are between
// firstYear and lastYear. The airport needs this because commands arrive in no order of dates: January 2013 is loaded
// while a user schedules a flight of today, and after a crash one partition runs ahead of the others. The stream time
// of a task is the latest departure that it has seen. The price is that no window is ever removed; there is one per
// carrier and hour.
const lateness = (lastYear - firstYear + 1) * 366 * 24 * time.Hour

// newTopology turns the events into tables:
//
//	flight events ─┬─▶ flights ─▶ by origin ──▶ departures-by-origin
//	               │
//	               └─ departed ─┬─▶ by carrier ─ join airlines ─▶ delays-by-carrier (hourly)
//	                            └─▶ by route ──▶ departures-by-route
func newTopology() (*topology.Topology, error) {
	b := topology.NewBuilder("airport")
	events := topology.Source(b, eventsTopic, codecs.String, codecs.JSON[FlightEvent]())
	airlines := topology.TableOf(b, airlinesTopic, codecs.String, codecs.JSON[Airline]())
	topology.TableOf(b, airportsTopic, codecs.String, codecs.JSON[Airport]())
	topology.TableOf(b, planesTopic, codecs.String, codecs.JSON[Plane]())
	topology.TableOf(b, weatherTopic, codecs.String, codecs.JSON[Weather]())

	// One row for each flight by id, and the same rows again by the key of departure boards.
	flights := events.GroupByKey().
		Aggregate(flightsStore, noFlight, addEvent, codecs.JSON[FlightView]())
	flights.ToStream().
		Rekey(departureKey).Repartition("by-origin", codecs.String, codecs.JSON[FlightView]()).
		GroupByKey().
		Aggregate(departuresStore, noFlight, latest, codecs.JSON[FlightView]())

	departures := events.Filter(isDeparture)

	// The delays of each carrier's departures, by hour of departure.
	departures.
		Rekey(byCarrier).Repartition("by-carrier", codecs.String, codecs.JSON[FlightEvent]()).
		JoinTable(airlines, withAirline).
		GroupByKey().
		WindowedBy(topology.Tumbling(time.Hour).Grace(lateness)).
		Aggregate(delaysStore, noDelays, addDelay, codecs.JSON[Delays]())

	// The number of departures of each route.
	departures.
		Rekey(byRoute).Repartition("by-route", codecs.String, codecs.JSON[FlightEvent]()).
		GroupByKey().
		Count(routesStore)

	return b.Build()
}

// FlightEvent is any of the four events as stored in the topic. The time that is set identifies the event.
type FlightEvent struct {
	FlightScheduled
	FlightDeparted
	FlightArrived
	FlightCancelled
}

// FlightView is a row of the store flights: everything known about a flight.
type FlightView struct {
	ID                 string     `json:"id"`
	Date               string     `json:"date"` // local
	Carrier            string     `json:"carrier"`
	Number             int        `json:"flight"`
	Origin             string     `json:"origin"`
	Destination        string     `json:"destination"`
	TailNumber         string     `json:"tailNumber,omitempty"`
	DistanceMiles      int        `json:"distanceMiles,omitempty"`
	Status             Status     `json:"status"`
	ScheduledDeparture time.Time  `json:"scheduledDeparture"`
	DepartedAt         *time.Time `json:"departedAt,omitempty"`
	DelayMinutes       *int       `json:"delayMinutes,omitempty"`
	ArrivedAt          *time.Time `json:"arrivedAt,omitempty"`
	CancelledAt        *time.Time `json:"cancelledAt,omitempty"`
}

func noFlight() FlightView { return FlightView{} }

// addEvent applies an event to the row of its flight.
func addEvent(id string, e FlightEvent, f FlightView) FlightView {
	switch {
	case !e.ScheduledAt.IsZero():
		if parsed, err := ParseFlightID(id); err == nil {
			f.Date, f.Carrier, f.Number, f.Origin = parsed.Date, parsed.Carrier, parsed.Number, parsed.Origin
		}
		f.ID, f.Status = id, Scheduled
		f.Destination, f.TailNumber, f.DistanceMiles = e.Destination, e.TailNumber, e.DistanceMiles
		f.ScheduledDeparture = e.ScheduledDeparture
	case !e.DepartedAt.IsZero():
		f.Status, f.DepartedAt, f.DelayMinutes = Departed, new(e.DepartedAt), new(e.DelayMinutes)
	case !e.ArrivedAt.IsZero():
		f.Status, f.ArrivedAt = Arrived, new(e.ArrivedAt)
	case !e.CancelledAt.IsZero():
		f.Status, f.CancelledAt = Cancelled, new(e.CancelledAt)
	}
	return f
}

// departureKey orders flights by origin, date and scheduled time, such as "EWR 2013-01-15 2013-01-15T10:15:00Z
// 2013-01-15.UA.1545.EWR". A departure board holds the keys that begin with one origin and date.
func departureKey(id string, f FlightView) string {
	return departuresOf(f.Origin, f.Date) + f.ScheduledDeparture.UTC().Format(time.RFC3339) + " " + id
}

// departuresOf is the common prefix of the keys of all departures from an airport on a date.
func departuresOf(origin, date string) string { return origin + " " + date + " " }

func latest(_ string, f, _ FlightView) FlightView { return f }

func isDeparture(_ string, e FlightEvent) bool { return !e.DepartedAt.IsZero() }

func byCarrier(id string, _ FlightEvent) string {
	flight, _ := ParseFlightID(id) // the edge lets no id through that does not parse
	return flight.Carrier
}

func byRoute(_ string, e FlightEvent) string { return e.Route }

// CarrierDeparture is a departure with the name of its airline.
type CarrierDeparture struct {
	Airline      string
	DelayMinutes int
}

func withAirline(e FlightEvent, a Airline) CarrierDeparture {
	return CarrierDeparture{Airline: a.Name, DelayMinutes: e.DelayMinutes}
}

// Delays is a row of the store delays-by-carrier: the departures of one carrier in one hour.
type Delays struct {
	Airline           string `json:"airline"`
	Departures        int    `json:"departures"`
	TotalDelayMinutes int    `json:"totalDelayMinutes"`
	MaxDelayMinutes   int    `json:"maxDelayMinutes"`
}

// Mean returns the mean delay in minutes. An hour without departures has no row.
func (d Delays) Mean() float64 { return float64(d.TotalDelayMinutes) / float64(d.Departures) }

func noDelays() Delays { return Delays{MaxDelayMinutes: math.MinInt} }

func addDelay(_ string, d CarrierDeparture, sum Delays) Delays {
	sum.Airline = d.Airline
	sum.Departures++
	sum.TotalDelayMinutes += d.DelayMinutes
	sum.MaxDelayMinutes = max(sum.MaxDelayMinutes, d.DelayMinutes)
	return sum
}
