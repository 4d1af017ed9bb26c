package aggregates

import (
	"bytes"
	jsonv1 "encoding/json"
	"encoding/json/jsontext"
	"encoding/json/v2"
	"errors"
	"fmt"
	"reflect"
	"time"
)

// decodeCommand decodes payload strictly as a C, and calls its Validate. The result is a *C.
func decodeCommand[C any](name string, payload []byte) (any, error) {
	malformed := func(offset int64, field *FieldError) error {
		return &InvalidCommandError{Command: name, Malformed: true, Offset: offset, Fields: []*FieldError{field}}
	}
	start := bytes.TrimLeft(payload, " \t\r\n")
	switch {
	case len(start) == 0:
		return nil, malformed(0, Invalid("", "the payload is empty; send a JSON object, {} if the command has no fields"))
	case start[0] != '{':
		return nil, malformed(int64(len(payload)-len(start)), Invalid("", "want a JSON object"))
	}
	c := new(C)
	if err := json.Unmarshal(payload, c, strict()); err != nil {
		return nil, malformed(explain(err))
	}
	if validated, ok := any(c).(Validated); ok {
		if err := validated.Validate(); err != nil {
			return nil, &InvalidCommandError{Command: name, Fields: fieldErrors(nil, err)}
		}
	}
	return c, nil
}

// strict returns the options for commands. Repeated names and trailing data are refused by default. A duration is a
// number of nanoseconds, as encoding/json writes it in the events.
func strict() json.Options {
	return json.JoinOptions(json.RejectUnknownMembers(true), jsonv1.FormatDurationAsNano(true))
}

// explain returns an error of the decoder in words for clients, which do not show Go types.
func explain(err error) (offset int64, field *FieldError) {
	if syntactic, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		pointer := string(syntactic.JSONPointer)
		if errors.Is(err, jsontext.ErrDuplicateName) {
			return syntactic.ByteOffset, Invalid(pointer, "the field appears twice")
		}
		return syntactic.ByteOffset, Invalid(pointer, "not JSON at byte %d: %v", syntactic.ByteOffset, syntactic.Err)
	}
	semantic, ok := errors.AsType[*json.SemanticError](err)
	if !ok {
		return 0, Invalid("", "%v", err)
	}
	pointer := string(semantic.JSONPointer)
	switch {
	case errors.Is(err, json.ErrUnknownName):
		return semantic.ByteOffset, Invalid(pointer, "unknown field")
	case semantic.GoType == nil:
		return semantic.ByteOffset, Invalid(pointer, "%v", semantic.Err)
	}
	want, got := wanted(semantic.GoType), kindName(semantic.JSONKind)
	switch {
	case len(semantic.JSONValue) > 0 && len(semantic.JSONValue) <= 100:
		got = string(semantic.JSONValue)
	case semantic.JSONKind == jsontext.KindString && (want == wantTime || want == wantBytes):
		got = "another string"
	}
	return semantic.ByteOffset, Invalid(pointer, "want %s, got %s", want, got)
}

const (
	wantTime  = "a time as in RFC 3339"
	wantBytes = "a string in base64"
)

// wanted describes the JSON that a Go type is decoded from.
func wanted(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == reflect.TypeFor[time.Time]() {
		return wantTime
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return fmt.Sprintf("a whole number of %d bits", t.Bits())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return fmt.Sprintf("a whole number of %d bits that is not negative", t.Bits())
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.String:
		return "a string"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return wantBytes
		}
		return "an array"
	case reflect.Array:
		return fmt.Sprintf("an array of %d", t.Len())
	case reflect.Struct, reflect.Map:
		return "an object"
	default:
		return "another value"
	}
}

func kindName(k jsontext.Kind) string {
	switch k {
	case jsontext.KindNull:
		return "null"
	case jsontext.KindTrue, jsontext.KindFalse:
		return "a boolean"
	case jsontext.KindString:
		return "a string"
	case jsontext.KindNumber:
		return "a number"
	case jsontext.KindBeginObject:
		return "an object"
	case jsontext.KindBeginArray:
		return "an array"
	default:
		return "something else"
	}
}

// fieldErrors appends the single errors of an error of Validate to fields.
func fieldErrors(fields []*FieldError, err error) []*FieldError {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range joined.Unwrap() {
			fields = fieldErrors(fields, one)
		}
		return fields
	}
	if field, ok := errors.AsType[*FieldError](err); ok {
		return append(fields, field)
	}
	return append(fields, &FieldError{Detail: err.Error()})
}
