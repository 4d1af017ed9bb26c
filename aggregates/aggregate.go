package aggregates

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"

	"github.com/seed84377926/millrace/codecs"
)

// Event is something that happened, named in the past tense: a value of a type that was registered with [Aggregate.On].
// Events are never changed or deleted. An event that knows when it happened implements [Timed].
type Event any

// Timed is implemented by events that have the time at which they happened.
type Timed interface {
	// EventTime returns milliseconds since the Unix epoch, or a negative number if the event does not know.
	EventTime() int64
}

// Stamped is implemented, with a pointer receiver, by commands that need a [Stamp] for their decision. Fields for it
// should be unexported or have the tag `json:"-"`, so that clients cannot send them.
type Stamped interface {
	// Stamp is called once before each decision.
	Stamp(Stamp)
}

// Stamp is the information for a decision beside the payload and the state.
type Stamp struct {
	ID        string // of the aggregate
	Version   int64  // of the aggregate: the number of its events
	CommandID string // unique for each command
	Time      int64  // the owner's clock, in milliseconds since the Unix epoch
}

// Validated is implemented by commands that can be invalid whatever the state is. Validate returns nil, a [FieldError],
// or several errors joined with errors.Join. The client sees each of them.
type Validated interface {
	Validate() error
}

// Aggregate is an aggregate type with state S: the registry of its commands and events. Register everything first, on
// one goroutine. After that it is immutable and safe for concurrent use. Validate reports all mistakes in the
// registration.
type Aggregate[S any] struct {
	name     string
	initial  []byte // encoded, so that no two aggregates share memory that S points to
	snapshot codecs.Codec[S]

	commands map[string]command[S]
	events   map[string]evolver[S]
	types    map[reflect.Type]string // Go type of an event to its name
	mistakes []error
}

// command and evolver are the typed functions with their payload types erased.
type (
	command[S any] struct {
		decode func(payload []byte) (any, error)
		decide func(state S, payload any) ([]Event, error)
	}
	evolver[S any] struct {
		encode func(event Event) ([]byte, error)
		evolve func(state S, data []byte) (S, error)
	}
)

// New returns an aggregate type. name is a part of topic names and of the types of problems: lower-case letters, digits
// and hyphens, beginning with a letter. initial is the state before the first event. snapshot encodes states for
// storage.
func New[S any](name string, initial S, snapshot codecs.Codec[S]) *Aggregate[S] {
	a := &Aggregate[S]{
		name: name, snapshot: snapshot,
		commands: make(map[string]command[S]), events: make(map[string]evolver[S]), types: make(map[reflect.Type]string),
	}
	if !validName(name) {
		a.addMistake("aggregate name %q: want lower-case letters, digits and hyphens, beginning with a letter", name)
	}
	var err error
	if a.initial, err = snapshot.Append(nil, initial); err != nil {
		a.addMistake("initial state: %w", err)
	}
	return a
}

// Command registers a command: its name in URLs (lower-case letters, digits and hyphens, beginning with a letter) and
// the function that decides on it. C is a struct into which JSON objects are decoded.
//
// decide returns the events that the command causes, in order, or none if there is nothing to do. Its error is a
// [Rejection] if a business rule forbids the command; any other error is a bug. decide must be pure and must not change
// memory that state points to.
func (a *Aggregate[S]) Command[C any](name string, decide func(state S, command C) ([]Event, error)) *Aggregate[S] {
	switch {
	case !validName(name):
		a.addMistake("command name %q: want lower-case letters, digits and hyphens, beginning with a letter", name)
	case decide == nil:
		a.addMistake("command %q: no decide function", name)
	}
	if _, taken := a.commands[name]; taken {
		a.addMistake("command %q is registered twice", name)
	}
	a.commands[name] = command[S]{
		decode: func(payload []byte) (any, error) { return decodeCommand[C](name, payload) },
		decide: func(state S, payload any) ([]Event, error) {
			c, ok := payload.(*C)
			if !ok {
				return nil, fmt.Errorf("command %q of aggregate %q: payload is %T, not %T", name, a.name, payload, c)
			}
			return decide(state, *c)
		},
	}
	return a
}

// On registers an event: its name on the log (such as "FlightDeparted"; never change it) and its effect on the state. E
// is encoded as JSON; each event has a Go type of its own.
//
// evolve returns the state after the event. It must be pure and total: the event has happened and cannot be refused. It
// must not change memory that state points to.
func (a *Aggregate[S]) On[E any](event string, evolve func(state S, event E) S) *Aggregate[S] {
	typ := reflect.TypeFor[E]()
	switch {
	case event == "":
		a.addMistake("event of type %v has no name", typ)
	case evolve == nil:
		a.addMistake("event %q: no evolve function", event)
	case typ.Kind() == reflect.Interface || typ.Kind() == reflect.Pointer:
		a.addMistake("event %q: its type is %v; register a struct, by value", event, typ)
	}
	if _, taken := a.events[event]; taken {
		a.addMistake("event %q is registered twice", event)
	}
	if other, taken := a.types[typ]; taken {
		a.addMistake("event %q: its type %v is already that of event %q; declare a type for each event", event, typ, other)
	}
	payload := codecs.JSON[E]()
	a.types[typ] = event
	a.events[event] = evolver[S]{
		encode: func(v Event) ([]byte, error) {
			e, ok := v.(E)
			if !ok {
				return nil, fmt.Errorf("event %q of aggregate %q: value is %T, not %v", event, a.name, v, typ)
			}
			return payload.Append(nil, e)
		},
		evolve: func(state S, data []byte) (S, error) {
			e, err := payload.Decode(data)
			if err != nil {
				return state, err
			}
			return evolve(state, e), nil
		},
	}
	return a
}

// Name returns the name given to New.
func (a *Aggregate[S]) Name() string { return a.name }

// Validate returns all mistakes in the registration, each with the file and line that made it.
func (a *Aggregate[S]) Validate() error {
	mistakes := slices.Clone(a.mistakes)
	if len(a.commands) == 0 {
		mistakes = append(mistakes, errors.New("no commands are registered"))
	}
	if len(a.events) == 0 {
		mistakes = append(mistakes, errors.New("no events are registered"))
	}
	if err := errors.Join(mistakes...); err != nil {
		return fmt.Errorf("aggregate %q: %w", a.name, err)
	}
	return nil
}

// addMistake records a mistake, with its place in the user's code.
func (a *Aggregate[S]) addMistake(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	if _, file, line, ok := runtime.Caller(2); ok {
		err = fmt.Errorf("%s:%d: %w", file, line, err)
	}
	a.mistakes = append(a.mistakes, err)
}

// validName reports whether name may be a part of a topic name and of a path.
func validName(name string) bool {
	for i, c := range name {
		letter := 'a' <= c && c <= 'z'
		if !letter && (i == 0 || c != '-' && (c < '0' || c > '9')) {
			return false
		}
	}
	return name != ""
}
