package aggregates_test

import (
	"errors"
	"fmt"

	"github.com/seed84377926/millrace/aggregates"
	"github.com/seed84377926/millrace/codecs"
)

// Flight is the state that the rules of a flight need, and no more.
type Flight struct {
	Scheduled, Departed bool
}

// The commands of a flight.
type (
	ScheduleFlight struct {
		Carrier string `json:"carrier"`
	}
	DepartFlight struct {
		At int64 `json:"at"`
	}
)

// The events of a flight.
type (
	FlightScheduled struct {
		Carrier string `json:"carrier"`
	}
	FlightDeparted struct {
		At int64 `json:"at"`
	}
)

// EventTime makes the event say when it happened.
func (e FlightDeparted) EventTime() int64 { return e.At }

func newFlight() *aggregates.Aggregate[Flight] {
	return aggregates.New("flight", Flight{}, codecs.JSON[Flight]()).
		Command("schedule", func(f Flight, c ScheduleFlight) ([]aggregates.Event, error) {
			if f.Scheduled {
				return nil, nil
			}
			return []aggregates.Event{FlightScheduled(c)}, nil
		}).
		Command("depart", func(f Flight, c DepartFlight) ([]aggregates.Event, error) {
			if !f.Scheduled || f.Departed {
				return nil, aggregates.Conflict("not-at-gate", "the flight is not at the gate")
			}
			return []aggregates.Event{FlightDeparted(c)}, nil
		}).
		On("FlightScheduled", func(f Flight, _ FlightScheduled) Flight { f.Scheduled = true; return f }).
		On("FlightDeparted", func(f Flight, _ FlightDeparted) Flight { f.Departed = true; return f })
}

// This is what package edge does with an aggregate type.
func Example() {
	var flight aggregates.Type = newFlight()
	state, err := flight.Initial()
	if err != nil {
		fmt.Println(err)
	}
	for _, step := range []struct{ command, payload string }{
		{"depart", `{"at":1000}`},
		{"schedule", `{"carrier":"UA"}`},
		{"depart", `{"at":1000}`},
		{"depart", `{"at":"noon"}`},
		{"depart", `{"at":1000,"gate":"B7"}`},
	} {
		command, err := flight.Decode(step.command, []byte(step.payload))
		if err != nil {
			fmt.Println("invalid:", err)
			continue
		}
		facts, err := flight.Decide(state, command, aggregates.Stamp{})
		if rejection, ok := errors.AsType[*aggregates.Rejection](err); ok {
			fmt.Println("rejected:", rejection)
		}
		for _, fact := range facts {
			fmt.Println("happened:", fact.Type, string(fact.Data), fact.Time)
			if state, err = flight.Evolve(state, fact); err != nil {
				fmt.Println(err)
			}
		}
	}
	snapshot, err := flight.AppendState(nil, state)
	fmt.Println(string(snapshot), err)
	// Output:
	// rejected: not-at-gate: the flight is not at the gate
	// happened: FlightScheduled {"carrier":"UA"} -1
	// happened: FlightDeparted {"at":1000} 1000
	// invalid: command "depart" is invalid: /at: want a whole number of 64 bits, got a string
	// invalid: command "depart" is invalid: /gate: unknown field
	// {"Scheduled":true,"Departed":true} <nil>
}

func ExampleRejection_With() {
	err := aggregates.Conflict("gate-taken", "gate %s is taken", "B7").With("by", "UA1")
	fmt.Println(err, err.Data)
	// Output: gate-taken: gate B7 is taken map[by:UA1]
}
