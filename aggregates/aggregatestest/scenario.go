// Package aggregatestest tests aggregate types in the words of their specification: given events, when a command comes,
// then other events happen, or a rule forbids it.
//
//	aggregatestest.Given(t, account, Deposited{Amount: 10}).
//	    When("withdraw", Withdraw{Amount: 4}).
//	    Then(Withdrawn{Amount: 4}).
//	    When("withdraw", Withdraw{Amount: 7}).
//	    ThenRejected("insufficient-funds")
//
// Commands, events and states pass through their encodings, as in production: a field that JSON loses, or a command
// that the strict decoding refuses, fails the test. A failure prints the whole scenario.
package aggregatestest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/seed84377926/millrace/aggregates"
)

// T is the part of testing.TB that a scenario needs.
type T interface {
	Helper()
	Fatalf(format string, args ...any)
}

// Scenario is one aggregate with its history. It belongs to one goroutine, as its T does.
type Scenario[S any] struct {
	t       T
	typ     *aggregates.Aggregate[S]
	history []aggregates.Fact
	state   aggregates.State
	stamp   aggregates.Stamp
}

// Given starts a scenario with the events that happened so far.
func Given[S any](t T, typ *aggregates.Aggregate[S], history ...aggregates.Event) *Scenario[S] {
	t.Helper()
	s := &Scenario[S]{t: t, typ: typ, stamp: aggregates.Stamp{ID: "test", CommandID: "test-command"}}
	if err := typ.Validate(); err != nil {
		t.Fatalf("%v", err)
	}
	initial, err := typ.Initial()
	if err != nil {
		t.Fatalf("%v", err)
	}
	s.state = initial
	for _, event := range history {
		fact, err := typ.Encode(event)
		if err != nil {
			t.Fatalf("given: %v", err)
		}
		s.happen(fact)
	}
	return s
}

// At sets the id and the time, in milliseconds since the Unix epoch, that the next commands are stamped with (see
// [aggregates.Stamped]). The defaults are "test" and 0.
func (s *Scenario[S]) At(id string, millis int64) *Scenario[S] {
	s.stamp.ID, s.stamp.Time = id, millis
	return s
}

// When sends a command. payload is encoded as JSON, unless it is a []byte, which must be JSON already.
func (s *Scenario[S]) When(command string, payload any) *Outcome[S] {
	s.t.Helper()
	data, raw := payload.([]byte)
	if !raw {
		var err error
		if data, err = json.Marshal(payload); err != nil {
			s.t.Fatalf("when %s: %v", command, err)
		}
	}
	o := &Outcome[S]{scenario: s, command: command + " " + compact(data)}
	s.stamp.Version = int64(len(s.history))
	decoded, err := s.typ.Decode(command, data)
	if err == nil {
		o.facts, err = s.typ.Decide(s.state, decoded, s.stamp)
	}
	o.err = err
	return o
}

// State returns the present state.
func (s *Scenario[S]) State() S {
	s.t.Helper()
	value, err := s.typ.Value(s.state)
	if err != nil {
		s.t.Fatalf("%v", err)
	}
	return value
}

// happen applies one more event to the state, and then encodes and decodes the state, as a restart does.
func (s *Scenario[S]) happen(fact aggregates.Fact) {
	s.t.Helper()
	next, err := s.typ.Evolve(s.state, fact)
	if err != nil {
		s.t.Fatalf("%s: %v", line(fact), err)
	}
	snapshot, err := s.typ.AppendState(nil, next)
	if err == nil {
		s.state, err = s.typ.DecodeState(snapshot)
	}
	if err != nil {
		s.t.Fatalf("after %s: %v", line(fact), err)
	}
	s.history = append(s.history, fact)
}

// Outcome is the result of a command. Call one of its Then methods; each returns the scenario for the next command.
type Outcome[S any] struct {
	scenario *Scenario[S]
	command  string
	facts    []aggregates.Fact
	err      error
}

// Then expects exactly these events, in order. None means that the command was accepted and changed nothing. The events
// become part of the history.
func (o *Outcome[S]) Then(want ...aggregates.Event) *Scenario[S] {
	s := o.scenario
	s.t.Helper()
	expected := make([]string, len(want))
	for i, event := range want {
		fact, err := s.typ.Encode(event)
		if err != nil {
			s.t.Fatalf("then: %v", err)
		}
		expected[i] = line(fact)
	}
	if o.err != nil || strings.Join(expected, "\n") != strings.Join(lines(o.facts), "\n") {
		o.fail(expected)
	}
	for _, fact := range o.facts {
		s.happen(fact)
	}
	return s
}

// ThenRejected expects a rejection with this code.
func (o *Outcome[S]) ThenRejected(code string) *Scenario[S] {
	o.scenario.t.Helper()
	if rejection, ok := errors.AsType[*aggregates.Rejection](o.err); !ok || rejection.Code != code {
		o.fail([]string{"rejected: " + code})
	}
	return o.scenario
}

// ThenInvalid expects that the command is invalid in the parts at these JSON pointers, in order.
func (o *Outcome[S]) ThenInvalid(pointers ...string) *Scenario[S] {
	o.scenario.t.Helper()
	got := []string{}
	if invalid, ok := errors.AsType[*aggregates.InvalidCommandError](o.err); ok {
		for _, field := range invalid.Fields {
			got = append(got, field.Pointer)
		}
	}
	if len(got) == 0 || strings.Join(got, " ") != strings.Join(pointers, " ") {
		o.fail([]string{fmt.Sprintf("invalid at %q", pointers)})
	}
	return o.scenario
}

// fail prints the scenario: the history, the command, the expected result and the actual one.
func (o *Outcome[S]) fail(want []string) {
	o.scenario.t.Helper()
	got := lines(o.facts)
	switch rejection, rejected := errors.AsType[*aggregates.Rejection](o.err); {
	case rejected:
		got = []string{"rejected: " + rejection.Error()}
	case o.err != nil:
		got = []string{"error: " + o.err.Error()}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s:\n", o.scenario.typ.Name())
	section(&b, "given", lines(o.scenario.history))
	section(&b, "when", []string{o.command})
	section(&b, "want", want)
	section(&b, "got", got)
	o.scenario.t.Fatalf("%s", b.String())
}

func section(b *strings.Builder, title string, lines []string) {
	if len(lines) == 0 {
		lines = []string{"nothing"}
	}
	for i, line := range lines {
		if i > 0 {
			title = ""
		}
		fmt.Fprintf(b, "  %-5s  %s\n", title, line)
	}
}

func lines(facts []aggregates.Fact) []string {
	out := make([]string, len(facts))
	for i, fact := range facts {
		out[i] = line(fact)
	}
	return out
}

func line(fact aggregates.Fact) string { return fact.Type + " " + compact(fact.Data) }

func compact(data []byte) string {
	var b bytes.Buffer
	if err := json.Compact(&b, data); err != nil {
		return string(data)
	}
	return b.String()
}
