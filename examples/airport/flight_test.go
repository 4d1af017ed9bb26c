package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/aggregates"
	"github.com/seed84377926/millrace/aggregates/aggregatestest"
)

const united1545 = "2013-01-15.UA.1545.EWR"

// at returns a time on 15 January 2013, in UTC.
func at(clock string) time.Time {
	t, err := time.Parse("2006-01-02 15:04", "2013-01-15 "+clock)
	if err != nil {
		panic(err)
	}
	return t
}

func report(clock string) Report { return Report{OccurredAt: at(clock)} }

// The commands and events of a flight that is scheduled for 10:15, leaves 4 minutes late and lands at 14:06.
func scheduleCommand() Schedule {
	return Schedule{Report: report("08:15"), Destination: "IAH", ScheduledDeparture: at("10:15"), TailNumber: "N14228", DistanceMiles: 1400}
}

func scheduled() FlightScheduled {
	return FlightScheduled{ScheduledAt: at("08:15"), Destination: "IAH", ScheduledDeparture: at("10:15"), TailNumber: "N14228", DistanceMiles: 1400}
}

func departed() FlightDeparted {
	return FlightDeparted{DepartedAt: at("10:19"), Route: "EWR-IAH", DelayMinutes: 4}
}

func arrived() FlightArrived { return FlightArrived{ArrivedAt: at("14:06")} }

func cancelled() FlightCancelled { return FlightCancelled{CancelledAt: at("10:15")} }

func given(t *testing.T, history ...aggregates.Event) *aggregatestest.Scenario[Flight] {
	t.Helper()
	return aggregatestest.Given(t, newFlightAggregate(), history...).At(united1545, 0)
}

func TestFlight_wholeLife(t *testing.T) {
	given(t).
		When("schedule", scheduleCommand()).Then(scheduled()).
		When("depart", Depart{report("10:19")}).Then(departed()).
		When("arrive", Arrive{report("14:06")}).Then(arrived())
}

func TestFlight_departsEarly(t *testing.T) {
	given(t, scheduled()).
		When("depart", Depart{report("10:05")}).
		Then(FlightDeparted{DepartedAt: at("10:05"), Route: "EWR-IAH", DelayMinutes: -10})
}

func TestFlight_isCancelled(t *testing.T) {
	given(t, scheduled()).
		When("cancel", Cancel{report("10:15")}).Then(cancelled())
}

// Each command is refused in each state that does not allow it.
func TestFlight_rules(t *testing.T) {
	commands := map[string]any{
		"schedule": scheduleCommand(),
		"depart":   Depart{report("10:19")},
		"arrive":   Arrive{report("14:06")},
		"cancel":   Cancel{report("10:15")},
	}
	none := []aggregates.Event{}
	justScheduled := []aggregates.Event{scheduled()}
	inTheAir := []aggregates.Event{scheduled(), departed()}
	landed := []aggregates.Event{scheduled(), departed(), arrived()}
	called := []aggregates.Event{scheduled(), cancelled()}
	for _, c := range []struct {
		state   string
		history []aggregates.Event
		command string
		code    string
	}{
		{"unknown", none, "depart", "not-scheduled"},
		{"unknown", none, "arrive", "not-scheduled"},
		{"unknown", none, "cancel", "not-scheduled"},
		{"scheduled", justScheduled, "schedule", "already-scheduled"},
		{"scheduled", justScheduled, "arrive", "not-departed"},
		{"departed", inTheAir, "schedule", "already-scheduled"},
		{"departed", inTheAir, "depart", "already-departed"},
		{"departed", inTheAir, "cancel", "has-departed"},
		{"arrived", landed, "schedule", "already-scheduled"},
		{"arrived", landed, "depart", "already-departed"},
		{"arrived", landed, "arrive", "already-arrived"},
		{"arrived", landed, "cancel", "has-departed"},
		{"cancelled", called, "schedule", "already-scheduled"},
		{"cancelled", called, "depart", "is-cancelled"},
		{"cancelled", called, "arrive", "is-cancelled"},
		{"cancelled", called, "cancel", "already-cancelled"},
	} {
		t.Run(c.command+" when "+c.state, func(t *testing.T) {
			given(t, c.history...).When(c.command, commands[c.command]).ThenRejected(c.code)
		})
	}
}

func TestFlight_landsBeforeItLeft(t *testing.T) {
	given(t, scheduled(), departed()).
		When("arrive", Arrive{report("10:18")}).ThenRejected("before-departure").
		When("arrive", Arrive{report("10:19")}).Then(FlightArrived{ArrivedAt: at("10:19")})
}

func TestFlight_isScheduledForItsDate(t *testing.T) {
	tomorrow := scheduleCommand()
	tomorrow.ScheduledDeparture = at("10:15").AddDate(0, 0, 2)
	given(t).When("schedule", tomorrow).ThenRejected("wrong-day")
}

func TestFlight_invalidCommands(t *testing.T) {
	flight := newFlightAggregate()
	for _, c := range []struct{ name, command, payload, want string }{
		{"no time", "depart", `{}`, "/occurredAt: is missing"},
		{"not a time", "depart", `{"occurredAt":"noon"}`, "/occurredAt: want a time as in RFC 3339"},
		{"before the epoch", "depart", `{"occurredAt":"1969-12-31T23:59:59Z"}`, "/occurredAt: 1969-12-31T23:59:59Z is not in the years 1970 to 2099"},
		{"far future", "arrive", `{"occurredAt":"2100-01-01T00:00:00Z"}`, "is not in the years"},
		{"no destination", "schedule", `{"occurredAt":"2013-01-15T08:15:00Z","scheduledDeparture":"2013-01-15T10:15:00Z"}`, "/destination: airport \"\" is not a code"},
		{"nothing at all", "schedule", `{}`, "/scheduledDeparture: is missing"},
		{"negative distance", "schedule", `{"distanceMiles":-1}`, "/distanceMiles: -1 is negative"},
		{"unknown field", "cancel", `{"occurredAt":"2013-01-15T08:15:00Z","why":"snow"}`, "unknown field"},
		{"the flight is not the client's to choose", "cancel", `{"flight":{}}`, "unknown field"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := flight.Decode(c.command, []byte(c.payload))
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestParseFlightID(t *testing.T) {
	id, err := ParseFlightID(united1545)
	require.NoError(t, err)
	require.Equal(t, FlightID{Date: "2013-01-15", Carrier: "UA", Number: 1545, Origin: "EWR"}, id)
	require.Equal(t, united1545, id.String())

	for bad, want := range map[string]string{
		"":                             "has not the form",
		"2013-01-15.UA.1545":           "has not the form",
		"2013-01-15.UA.1545.EWR.x":     "has not the form",
		"2013-02-30.UA.1545.EWR":       "date",
		"1969-12-31.UA.1545.EWR":       "date",
		"2013-1-15.UA.1545.EWR":        "date",
		"2013-01-15.ua.1545.EWR":       "carrier",
		"2013-01-15.UAL.1545.EWR":      "carrier",
		"2013-01-15.UA.01545.EWR":      "flight number",
		"2013-01-15.UA.0.EWR":          "flight number",
		"2013-01-15.UA.10000.EWR":      "flight number",
		"2013-01-15.UA.+15.EWR":        "flight number",
		"2013-01-15.UA.1545.Newark":    "airport",
		"2013-01-15.UA.1545.EW\x00":    "airport",
		"2013-01-15.UA.1545.EWR\n":     "airport",
		" 2013-01-15.UA.1545.EWR":      "date",
		"2013-01-15.UA.15450000000000": "has not the form",
	} {
		_, err := ParseFlightID(bad)
		require.ErrorContains(t, err, want, "%q", bad)
	}
}

func FuzzParseFlightID(f *testing.F) {
	f.Add(united1545)
	f.Add("2013-01-15.9E.3538.JFK")
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := ParseFlightID(s); err == nil {
			require.Equal(t, s, id.String())
		}
	})
}
