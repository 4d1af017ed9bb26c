package aggregates

import (
	"fmt"
	"maps"
	"strings"
)

// Rejection says that a rule of the business forbids a command in the present state. It is an answer, not a failure.
type Rejection struct {
	// Code names the rule for programs, in lower-case letters, digits and hyphens. It never changes.
	Code string
	// Message explains it to people.
	Message string
	// Conflict tells the two kinds apart: the command is fine and comes at the wrong moment (true), or no state would
	// allow it (false).
	Conflict bool
	// Data is what a program may want to know, by name. May be nil.
	Data map[string]any
}

// Reject returns a rejection of a command that breaks a rule. Return it from a decide function.
func Reject(code, format string, args ...any) *Rejection {
	return &Rejection{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Conflict returns a rejection of a command that would be in order in another state of the same aggregate.
func Conflict(code, format string, args ...any) *Rejection {
	return &Rejection{Code: code, Message: fmt.Sprintf(format, args...), Conflict: true}
}

// With returns a copy of r that carries value under name.
func (r *Rejection) With(name string, value any) *Rejection {
	with := *r
	with.Data = maps.Clone(r.Data)
	if with.Data == nil {
		with.Data = make(map[string]any)
	}
	with.Data[name] = value
	return &with
}

// Error implements error.
func (r *Rejection) Error() string { return r.Code + ": " + r.Message }

// UnknownCommandError says that an aggregate type has no such command.
type UnknownCommandError struct {
	Aggregate, Command string
	Known              []string // the commands there are, sorted
}

// Error implements error.
func (e *UnknownCommandError) Error() string {
	return fmt.Sprintf("aggregate %q has no command %q; it has %s", e.Aggregate, e.Command, strings.Join(e.Known, ", "))
}

// FieldError says what is wrong with one part of a command.
type FieldError struct {
	// Pointer is the JSON pointer (RFC 6901) of the part; "" is the whole.
	Pointer string
	// Detail explains it to people.
	Detail string
}

// Invalid returns a FieldError, for use in Validate methods.
func Invalid(pointer, format string, args ...any) *FieldError {
	return &FieldError{Pointer: pointer, Detail: fmt.Sprintf(format, args...)}
}

// Error implements error.
func (e *FieldError) Error() string {
	if e.Pointer == "" {
		return e.Detail
	}
	return e.Pointer + ": " + e.Detail
}

// InvalidCommandError says that a payload is not a command, whatever the state.
type InvalidCommandError struct {
	Command string
	// Malformed is true if the payload cannot be read as the command at all, and false if its own Validate refused it.
	Malformed bool
	// Offset is where in the payload reading stopped, in bytes, if Malformed.
	Offset int64
	// Fields has at least one element.
	Fields []*FieldError
}

// Error implements error.
func (e *InvalidCommandError) Error() string {
	parts := make([]string, len(e.Fields))
	for i, field := range e.Fields {
		parts[i] = field.Error()
	}
	return fmt.Sprintf("command %q is invalid: %s", e.Command, strings.Join(parts, "; "))
}

// PanicError is what a panic of a user's function became.
type PanicError struct {
	Where string // which function, of which aggregate
	Value any    // what it panicked with
	Stack []byte
}

// Error implements error. It does not include the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("%s: panic: %v", e.Where, e.Value) }

// Unwrap returns what the function panicked with, if that was an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
