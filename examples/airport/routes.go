package main

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/edge"
	"github.com/seed84377926/millrace/views"
)

const (
	// maxLimit bounds the length of lists.
	maxLimit      = 1000
	defaultLimit  = 100
	defaultRoutes = 10
)

// FlightDetails answers GET /v1/flights/{id}: the flight, its plane, and the weather at the origin in the scheduled
// hour.
type FlightDetails struct {
	FlightView
	Plane   *Plane   `json:"plane,omitempty"`
	Weather *Weather `json:"weather,omitempty"`
}

// DeparturesPage answers GET /v1/airports/{origin}/departures: the flights scheduled on a date, by scheduled time.
type DeparturesPage struct {
	Departures []FlightView `json:"departures"`
}

// DelaysPage answers GET /v1/carriers/{carrier}/delays: the hours with departures of the carrier.
type DelaysPage struct {
	Windows []DelayWindow `json:"windows"`
}

// DelayWindow is one hour of one carrier.
type DelayWindow struct {
	Start            time.Time `json:"start"`
	End              time.Time `json:"end"`
	Carrier          string    `json:"carrier"`
	Airline          string    `json:"airline"`
	Departures       int       `json:"departures"`
	MeanDelayMinutes float64   `json:"meanDelayMinutes"`
	MaxDelayMinutes  int       `json:"maxDelayMinutes"`
}

// RoutesPage answers GET /v1/routes: the routes with the most departures.
type RoutesPage struct {
	Routes []RouteCount `json:"routes"`
}

// RouteCount is the number of departures on a route.
type RouteCount struct {
	Route      string `json:"route"`
	Departures int64  `json:"departures"`
}

// queries holds the views of all stores. Its methods are the HTTP queries.
type queries struct {
	flights    *views.KeyValueView[string, FlightView]
	departures *views.KeyValueView[string, FlightView]
	delays     *views.WindowView[string, Delays]
	routes     *views.KeyValueView[string, int64]
	airlines   *views.KeyValueView[string, Airline]
	airports   *views.KeyValueView[string, Airport]
	planes     *views.KeyValueView[string, Plane]
	weather    *views.KeyValueView[string, Weather]
}

// addQueries registers the queries with the server.
func addQueries(server *edge.Server, vs *views.Views) error {
	q, err := openQueries(vs)
	if err != nil {
		return err
	}
	add := func(path string, answer edge.QueryFunc, reads edge.View, params ...string) {
		server.Query(http.MethodGet, path, answer, edge.QueryOptions{
			Params: params, Views: []edge.View{restored{reads, vs.Ready()}},
		})
	}
	add("/v1/flights/{id}", q.flight, q.flights)
	add("/v1/airports/{origin}/departures", q.listDepartures, q.departures, "date", "limit", "cursor")
	add("/v1/carriers/{carrier}/delays", q.listDelays, q.delays, "from", "to", "cursor")
	add("/v1/routes", q.listRoutes, q.routes, "limit")
	return nil
}

func openQueries(vs *views.Views) (*queries, error) {
	var q queries
	var errs [8]error
	q.flights, errs[0] = views.KeyValue(vs, flightsStore, codecs.String, codecs.JSON[FlightView]())
	q.departures, errs[1] = views.KeyValue(vs, departuresStore, codecs.String, codecs.JSON[FlightView]())
	q.delays, errs[2] = views.Windows(vs, delaysStore, codecs.String, codecs.JSON[Delays]())
	q.routes, errs[3] = views.KeyValue(vs, routesStore, codecs.String, codecs.Int64)
	q.airlines, errs[4] = views.KeyValue(vs, airlinesTopic, codecs.String, codecs.JSON[Airline]())
	q.airports, errs[5] = views.KeyValue(vs, airportsTopic, codecs.String, codecs.JSON[Airport]())
	q.planes, errs[6] = views.KeyValue(vs, planesTopic, codecs.String, codecs.JSON[Plane]())
	q.weather, errs[7] = views.KeyValue(vs, weatherTopic, codecs.String, codecs.JSON[Weather]())
	return &q, errors.Join(errs[:]...)
}

// restored is a view that answers only after all views are restored. Before that, a missing flight may only be not
// restored yet.
type restored struct {
	edge.View
	ready <-chan struct{}
}

// Ready is closed when the views are restored.
func (v restored) Ready() <-chan struct{} { return v.ready }

func (q *queries) flight(ctx context.Context, r *edge.Request) (any, error) {
	id := r.Path("id")
	flight, ok, err := q.flights.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, edge.NotFound("there is no flight %q; ids look like 2013-01-01.UA.1545.EWR", id)
	}
	details := FlightDetails{FlightView: flight}
	if plane, ok, err := q.planes.Get(ctx, flight.TailNumber); err != nil {
		return nil, err
	} else if ok {
		details.Plane = &plane
	}
	if weather, ok, err := q.weather.Get(ctx, weatherKey(flight.Origin, flight.ScheduledDeparture)); err != nil {
		return nil, err
	} else if ok {
		details.Weather = &weather
	}
	return details, nil
}

func (q *queries) listDepartures(ctx context.Context, r *edge.Request) (any, error) {
	origin, date := r.Path("origin"), r.Text("date", "")
	if err := checkDate(date); err != nil {
		r.Invalid("date", "%v", err)
	}
	limit := r.Int("limit", 1, maxLimit, defaultLimit)
	first := departuresOf(origin, date)
	end := first + "\xff"
	r.Cursor(&first)
	if err := r.Err(); err != nil {
		return nil, err
	}
	if _, ok, err := q.airports.Get(ctx, origin); err != nil {
		return nil, err
	} else if !ok {
		return nil, edge.NotFound("there is no airport %q; airports are known by FAA codes like JFK", origin)
	}
	page := DeparturesPage{Departures: []FlightView{}}
	for row, err := range q.departures.Range(ctx, &first, &end) {
		if err != nil {
			return nil, err
		}
		if len(page.Departures) == limit {
			r.Next(row.Key)
			break
		}
		page.Departures = append(page.Departures, row.Value)
	}
	return page, nil
}

func (q *queries) listDelays(ctx context.Context, r *edge.Request) (any, error) {
	carrier := r.Path("carrier")
	from := r.Time("from", time.Date(firstYear, time.January, 1, 0, 0, 0, 0, time.UTC)).UnixMilli()
	to := r.Time("to", time.Date(lastYear+1, time.January, 1, 0, 0, 0, 0, time.UTC)).UnixMilli()
	if from > to {
		r.Invalid("from", "it is later than to")
	}
	r.Cursor(&from)
	if err := r.Err(); err != nil {
		return nil, err
	}
	if _, ok, err := q.airlines.Get(ctx, carrier); err != nil {
		return nil, err
	} else if !ok {
		return nil, edge.NotFound("there is no carrier %q; carriers are known by codes like UA", carrier)
	}
	page := DelaysPage{Windows: []DelayWindow{}}
	for row, err := range q.delays.Fetch(ctx, carrier, from, to) {
		if err != nil {
			return nil, err
		}
		if len(page.Windows) == maxLimit {
			r.Next(row.Window.Start)
			break
		}
		page.Windows = append(page.Windows, DelayWindow{
			Start: row.Window.StartTime(), End: row.Window.EndTime(),
			Carrier: carrier, Airline: row.Value.Airline, Departures: row.Value.Departures,
			MeanDelayMinutes: row.Value.Mean(), MaxDelayMinutes: row.Value.MaxDelayMinutes,
		})
	}
	return page, nil
}

func (q *queries) listRoutes(ctx context.Context, r *edge.Request) (any, error) {
	limit := r.Int("limit", 1, maxLimit, defaultRoutes)
	if err := r.Err(); err != nil {
		return nil, err
	}
	page := RoutesPage{Routes: []RouteCount{}}
	for row, err := range q.routes.Range(ctx, nil, nil) { // about two hundred
		if err != nil {
			return nil, err
		}
		page.Routes = append(page.Routes, RouteCount{Route: row.Key, Departures: row.Value})
	}
	slices.SortFunc(page.Routes, func(a, b RouteCount) int {
		return cmp.Or(cmp.Compare(b.Departures, a.Departures), cmp.Compare(a.Route, b.Route))
	})
	page.Routes = page.Routes[:min(limit, len(page.Routes))]
	return page, nil
}
