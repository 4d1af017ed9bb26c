package aggregates

import (
	"fmt"
	"maps"
	"strings"
)

// Rejection says that a business rule forbids a command in the present state. It is an answer, not a failure.
type Rejection struct {
	// Code identifies the rule for programs: lower-case letters, digits and hyphens. It never changes.
	Code string
	// Message explains the rejection to people.
	Message string
	// Conflict is true if another state of the aggregate would allow the command, and false if no state would.
	Conflict bool
	// Data is more information for programs, by name. It may be nil.
	Data map[string]any
}

// Reject returns the rejection of a command that no state would allow. Return it from a decide function.
func Reject(code, format string, args ...any) *Rejection {
	return &Rejection{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Conflict returns the rejection of a command that another state of the aggregate would allow.
func Conflict(code, format string, args ...any) *Rejection {
	return &Rejection{Code: code, Message: fmt.Sprintf(format, args...), Conflict: true}
}

// With returns a copy of r that has value under name in its Data.
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
	Known              []string // the names of its commands, sorted
}

// Error implements error.
func (e *UnknownCommandError) Error() string {
	return fmt.Sprintf("aggregate %q has no command %q; it has %s", e.Aggregate, e.Command, strings.Join(e.Known, ", "))
}

// FieldError says why one part of a command is invalid.
type FieldError struct {
	// Pointer is the JSON pointer (RFC 6901) of the part; "" is the whole command.
	Pointer string
	// Detail explains the mistake to people.
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

// InvalidCommandError says that a payload is not a valid command, whatever the state is.
type InvalidCommandError struct {
	Command string
	// Malformed is true if the payload could not be decoded as the command, and false if the command's Validate refused
	// it.
	Malformed bool
	// Offset is the position in the payload, in bytes, where decoding stopped, if Malformed.
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

// PanicError is the error for a panic of a user's function.
type PanicError struct {
	Where string // which function, of which aggregate
	Value any    // the value of the panic
	Stack []byte
}

// Error implements error. It does not include the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("%s: panic: %v", e.Where, e.Value) }

// Unwrap returns the value of the panic, if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
