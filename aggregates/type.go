package aggregates

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"runtime/debug"
	"slices"
)

// Type is an aggregate type with all types of the domain erased, for code that serves or tests any aggregate.
// [Aggregate] is its only implementation. All methods are pure and, once everything is registered, safe for concurrent
// use.
type Type interface {
	// Name returns the name of the aggregate type.
	Name() string
	// Validate returns all mistakes in the registration.
	Validate() error
	// CommandNames returns the names of the commands, sorted.
	CommandNames() []string
	// EventNames returns the names of the events, sorted.
	EventNames() []string

	// Decode decodes a command strictly. The error is an [*UnknownCommandError], an [*InvalidCommandError], or a
	// [*PanicError] if its Validate panicked.
	Decode(command string, payload []byte) (Command, error)
	// Initial returns the state of an aggregate without events. It shares no memory with any other state.
	Initial() (State, error)
	// DecodeState decodes a state that AppendState encoded.
	DecodeState(data []byte) (State, error)
	// AppendState appends the encoding of a state to dst.
	AppendState(dst []byte, state State) ([]byte, error)

	// Decide returns the events that a command causes in a state. The error is a [*Rejection] if a rule forbids the
	// command, a [*PanicError] if a user's function panicked, and any other error is a bug.
	Decide(state State, command Command, stamp Stamp) ([]Fact, error)
	// Evolve returns the state after an event. If the user's function panics, the error is a [*PanicError], and state
	// must not be used any more.
	Evolve(state State, fact Fact) (State, error)

	sealed()
}

var _ Type = (*Aggregate[struct{}])(nil)

// State is the state of one aggregate, of a type that only its [Type] knows. It is immutable.
type State struct{ value any }

// Command is a command that was decoded and is valid. Only one call of Decide at a time may use it.
type Command struct {
	name    string
	payload any
}

// Name returns the registered name of the command.
func (c Command) Name() string { return c.name }

// NoTime is the Time of a Fact whose event does not know when it happened.
const NoTime int64 = -1

// Fact is an event as it is on the log.
type Fact struct {
	Type string // registered name of the event
	Data []byte // JSON
	Time int64  // when it happened, in milliseconds since the Unix epoch, or NoTime
}

// CommandNames implements [Type].
func (a *Aggregate[S]) CommandNames() []string { return slices.Sorted(maps.Keys(a.commands)) }

// EventNames implements [Type].
func (a *Aggregate[S]) EventNames() []string { return slices.Sorted(maps.Keys(a.events)) }

// Decode implements [Type].
func (a *Aggregate[S]) Decode(name string, payload []byte) (c Command, err error) {
	registered, ok := a.commands[name]
	if !ok {
		return Command{}, &UnknownCommandError{Aggregate: a.name, Command: name, Known: a.CommandNames()}
	}
	defer a.recovered(&err, "reading command", name)
	decoded, err := registered.decode(payload)
	if err != nil {
		return Command{}, err
	}
	return Command{name: name, payload: decoded}, nil
}

// Initial implements [Type].
func (a *Aggregate[S]) Initial() (State, error) { return a.DecodeState(a.initial) }

// DecodeState implements [Type].
func (a *Aggregate[S]) DecodeState(data []byte) (State, error) {
	state, err := a.snapshot.Decode(data)
	if err != nil {
		return State{}, fmt.Errorf("state of aggregate %q: %w", a.name, err)
	}
	return State{state}, nil
}

// AppendState implements [Type].
func (a *Aggregate[S]) AppendState(dst []byte, state State) ([]byte, error) {
	s, err := a.own(state)
	if err != nil {
		return dst, err
	}
	if dst, err = a.snapshot.Append(dst, s); err != nil {
		return dst, fmt.Errorf("state of aggregate %q: %w", a.name, err)
	}
	return dst, nil
}

// Decide implements [Type].
func (a *Aggregate[S]) Decide(state State, command Command, stamp Stamp) (facts []Fact, err error) {
	s, err := a.own(state)
	if err != nil {
		return nil, err
	}
	registered, ok := a.commands[command.name]
	if !ok {
		return nil, &UnknownCommandError{Aggregate: a.name, Command: command.name, Known: a.CommandNames()}
	}
	defer a.recovered(&err, "command", command.name)
	if stamped, ok := command.payload.(Stamped); ok {
		stamped.Stamp(stamp)
	}
	events, err := registered.decide(s, command.payload)
	if err != nil {
		if rejection, ok := errors.AsType[*Rejection](err); ok {
			return nil, rejection
		}
		return nil, fmt.Errorf("command %q of aggregate %q: %w", command.name, a.name, err)
	}
	for _, event := range events {
		fact, err := a.Encode(event)
		if err != nil {
			return nil, fmt.Errorf("command %q: %w", command.name, err)
		}
		facts = append(facts, fact)
	}
	return facts, nil
}

// Encode returns event as it would be on the log. An event of a type that is not registered is an error.
func (a *Aggregate[S]) Encode(event Event) (Fact, error) {
	name, ok := a.types[reflect.TypeOf(event)]
	if !ok {
		return Fact{}, fmt.Errorf("aggregate %q has no event of type %T; register it with On, and return it by value", a.name, event)
	}
	data, err := a.events[name].encode(event)
	if err != nil {
		return Fact{}, fmt.Errorf("event %q of aggregate %q: %w", name, a.name, err)
	}
	fact := Fact{Type: name, Data: data, Time: NoTime}
	if timed, ok := event.(Timed); ok {
		fact.Time = max(timed.EventTime(), NoTime)
	}
	return fact, nil
}

// Evolve implements [Type].
func (a *Aggregate[S]) Evolve(state State, fact Fact) (next State, err error) {
	s, err := a.own(state)
	if err != nil {
		return State{}, err
	}
	registered, ok := a.events[fact.Type]
	if !ok {
		return State{}, fmt.Errorf("aggregate %q has no event %q; it has %v", a.name, fact.Type, a.EventNames())
	}
	defer a.recovered(&err, "event", fact.Type)
	evolved, err := registered.evolve(s, fact.Data)
	if err != nil {
		return State{}, fmt.Errorf("event %q of aggregate %q: %w", fact.Type, a.name, err)
	}
	return State{evolved}, nil
}

// Value returns a state of this aggregate type as an S.
func (a *Aggregate[S]) Value(state State) (S, error) { return a.own(state) }

func (a *Aggregate[S]) own(state State) (S, error) {
	s, ok := state.value.(S)
	if !ok {
		return s, fmt.Errorf("aggregate %q: the state is %T, that of another aggregate", a.name, state.value)
	}
	return s, nil
}

func (*Aggregate[S]) sealed() {}

// recovered turns a panic of a user's function into the error of the method that defers it.
func (a *Aggregate[S]) recovered(err *error, kind, name string) {
	if value := recover(); value != nil {
		*err = &PanicError{Where: fmt.Sprintf("%s %q of aggregate %q", kind, name, a.name), Value: value, Stack: debug.Stack()}
	}
}
