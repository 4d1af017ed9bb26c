package main

import (
	"errors"
	"time"

	"github.com/seed84377926/millrace/aggregates"
	"github.com/seed84377926/millrace/codecs"
)

// Status is the progress of a flight:
//
//	scheduled ──▶ departed ──▶ arrived
//	    │
//	    └───────▶ cancelled
//
// The zero Status means that the flight was not scheduled.
type Status string

// The statuses of a flight.
const (
	Scheduled Status = "scheduled"
	Departed  Status = "departed"
	Arrived   Status = "arrived"
	Cancelled Status = "cancelled"
)

// Flight is the state of a flight that the rules need.
type Flight struct {
	Status             Status    `json:"status"`
	Destination        string    `json:"destination"`
	ScheduledDeparture time.Time `json:"scheduledDeparture"`
	DepartedAt         time.Time `json:"departedAt"`
}

// The commands report what happened to a flight.
type (
	// Schedule announces a flight.
	Schedule struct {
		Report
		Destination        string    `json:"destination"`
		ScheduledDeparture time.Time `json:"scheduledDeparture"`
		TailNumber         string    `json:"tailNumber,omitempty"`
		DistanceMiles      int       `json:"distanceMiles,omitempty"`
	}
	// Depart says that the flight left.
	Depart struct{ Report }
	// Arrive says that the flight landed.
	Arrive struct{ Report }
	// Cancel says that the flight will not leave.
	Cancel struct{ Report }
)

// Report holds the fields of all commands: the flight, and the time of the reported event.
type Report struct {
	OccurredAt time.Time `json:"occurredAt"`
	flight     FlightID
}

// The events. No two have a field in common, so the time that is set identifies the event.
type (
	// FlightScheduled says that a flight was announced.
	FlightScheduled struct {
		ScheduledAt        time.Time `json:"scheduledAt,omitzero"`
		Destination        string    `json:"destination,omitzero"`
		ScheduledDeparture time.Time `json:"scheduledDeparture,omitzero"`
		TailNumber         string    `json:"tailNumber,omitzero"`
		DistanceMiles      int       `json:"distanceMiles,omitzero"`
	}
	// FlightDeparted says that a flight left, on which route and how late.
	FlightDeparted struct {
		DepartedAt   time.Time `json:"departedAt,omitzero"`
		Route        string    `json:"route,omitzero"`        // JFK-LAX
		DelayMinutes int       `json:"delayMinutes,omitzero"` // negative if early
	}
	// FlightArrived says that a flight landed.
	FlightArrived struct {
		ArrivedAt time.Time `json:"arrivedAt,omitzero"`
	}
	// FlightCancelled says that a flight will not leave.
	FlightCancelled struct {
		CancelledAt time.Time `json:"cancelledAt,omitzero"`
	}
)

// newFlightAggregate connects commands, rules and events.
func newFlightAggregate() *aggregates.Aggregate[Flight] {
	return aggregates.New("flight", Flight{}, codecs.JSON[Flight]()).
		Command("schedule", schedule).
		Command("depart", depart).
		Command("arrive", arrive).
		Command("cancel", cancel).
		On("FlightScheduled", func(f Flight, e FlightScheduled) Flight {
			f.Status, f.Destination, f.ScheduledDeparture = Scheduled, e.Destination, e.ScheduledDeparture
			return f
		}).
		On("FlightDeparted", func(f Flight, e FlightDeparted) Flight {
			f.Status, f.DepartedAt = Departed, e.DepartedAt
			return f
		}).
		On("FlightArrived", func(f Flight, _ FlightArrived) Flight {
			f.Status = Arrived
			return f
		}).
		On("FlightCancelled", func(f Flight, _ FlightCancelled) Flight {
			f.Status = Cancelled
			return f
		})
}

// The rules. Each command has one rejection that means "this has happened already"; see alreadyCode.

func schedule(f Flight, c Schedule) ([]aggregates.Event, error) {
	if f.Status != "" {
		return nil, already("schedule", f)
	}
	if !c.flight.leavesOn(c.ScheduledDeparture) {
		return nil, aggregates.Reject("wrong-day", "the flight is one of %s, but its departure is scheduled for %s",
			c.flight.Date, c.ScheduledDeparture.Format(time.RFC3339))
	}
	return []aggregates.Event{FlightScheduled{
		ScheduledAt:        c.OccurredAt.UTC(),
		Destination:        c.Destination,
		ScheduledDeparture: c.ScheduledDeparture.UTC(),
		TailNumber:         c.TailNumber,
		DistanceMiles:      c.DistanceMiles,
	}}, nil
}

func depart(f Flight, c Depart) ([]aggregates.Event, error) {
	switch f.Status {
	case Scheduled:
		return []aggregates.Event{FlightDeparted{
			DepartedAt:   c.OccurredAt.UTC(),
			Route:        c.flight.Origin + "-" + f.Destination,
			DelayMinutes: int(c.OccurredAt.Sub(f.ScheduledDeparture) / time.Minute),
		}}, nil
	case Departed, Arrived:
		return nil, already("depart", f)
	case Cancelled:
		return nil, errCancelled()
	default:
		return nil, errNotScheduled()
	}
}

func arrive(f Flight, c Arrive) ([]aggregates.Event, error) {
	switch f.Status {
	case Departed:
		if c.OccurredAt.Before(f.DepartedAt) {
			return nil, aggregates.Reject("before-departure", "the flight cannot have landed at %s: it departed at %s",
				c.OccurredAt.Format(time.RFC3339), f.DepartedAt.Format(time.RFC3339))
		}
		return []aggregates.Event{FlightArrived{ArrivedAt: c.OccurredAt.UTC()}}, nil
	case Arrived:
		return nil, already("arrive", f)
	case Scheduled:
		return nil, aggregates.Conflict("not-departed", "the flight has not departed; depart it first")
	case Cancelled:
		return nil, errCancelled()
	default:
		return nil, errNotScheduled()
	}
}

func cancel(f Flight, c Cancel) ([]aggregates.Event, error) {
	switch f.Status {
	case Scheduled:
		return []aggregates.Event{FlightCancelled{CancelledAt: c.OccurredAt.UTC()}}, nil
	case Cancelled:
		return nil, already("cancel", f)
	case Departed, Arrived:
		return nil, aggregates.Conflict("has-departed", "the flight departed at %s; it cannot be cancelled any more",
			f.DepartedAt.Format(time.RFC3339))
	default:
		return nil, errNotScheduled()
	}
}

// alreadyCode returns the code of the rejection that means that the reported event has happened already. A client that
// repeats a command long after the edge forgot its Idempotency-Key learns from this code that nothing is left to do.
func alreadyCode(command string) string {
	switch command {
	case "schedule":
		return "already-scheduled"
	case "depart":
		return "already-departed"
	case "arrive":
		return "already-arrived"
	default:
		return "already-cancelled"
	}
}

func already(command string, f Flight) error {
	return aggregates.Conflict(alreadyCode(command), "the flight is %s", f.Status)
}

func errNotScheduled() error {
	return aggregates.Conflict("not-scheduled", "nobody scheduled the flight; schedule it first")
}

func errCancelled() error {
	return aggregates.Conflict("is-cancelled", "the flight was cancelled")
}

// Stamp implements [aggregates.Stamped].
func (r *Report) Stamp(stamp aggregates.Stamp) {
	r.flight, _ = ParseFlightID(stamp.ID) // cannot fail: the edge rejects an id that does not parse
}

// Validate implements [aggregates.Validated].
func (r *Report) Validate() error { return checkTime("/occurredAt", r.OccurredAt) }

// Validate implements [aggregates.Validated].
func (c *Schedule) Validate() error {
	errs := []error{c.Report.Validate(), checkTime("/scheduledDeparture", c.ScheduledDeparture)}
	if err := checkAirport(c.Destination); err != nil {
		errs = append(errs, aggregates.Invalid("/destination", "%v", err))
	}
	if c.DistanceMiles < 0 {
		errs = append(errs, aggregates.Invalid("/distanceMiles", "%d is negative", c.DistanceMiles))
	}
	return errors.Join(errs...)
}

func checkTime(pointer string, t time.Time) error {
	if t.IsZero() {
		return aggregates.Invalid(pointer, "is missing; want a time like 2013-01-15T15:30:00Z")
	}
	if year := t.UTC().Year(); year < firstYear || year > lastYear {
		return aggregates.Invalid(pointer, "%s is not in the years %d to %d", t.Format(time.RFC3339), firstYear, lastYear)
	}
	return nil
}

// EventTime implements [aggregates.Timed]: flights live in event time.
func (e FlightScheduled) EventTime() int64 { return e.ScheduledAt.UnixMilli() }

// EventTime implements [aggregates.Timed].
func (e FlightDeparted) EventTime() int64 { return e.DepartedAt.UnixMilli() }

// EventTime implements [aggregates.Timed].
func (e FlightArrived) EventTime() int64 { return e.ArrivedAt.UnixMilli() }

// EventTime implements [aggregates.Timed].
func (e FlightCancelled) EventTime() int64 { return e.CancelledAt.UnixMilli() }
