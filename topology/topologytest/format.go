package topologytest

import (
	"encoding/json"
	"fmt"

	"github.com/seed84377926/millrace/codecs"
)

// Format says how scripts show the keys and values of a topic or store. A nil field means plain text.
type Format struct{ Key, Value Text }

// Text converts between the text of a script and encoded values: [TextOf] makes one.
type Text interface {
	// Encode returns the encoding of the value that text shows.
	Encode(text string) ([]byte, error)
	// Print returns the text of an encoded value.
	Print(data []byte) (string, error)
}

// TextOf returns how scripts show values of T: values with a method String by its result (for output only), strings as
// they are, all others as JSON.
func TextOf[T any](codec codecs.Codec[T]) Text { return text[T]{codec} }

type text[T any] struct{ codec codecs.Codec[T] }

func (x text[T]) Encode(s string) ([]byte, error) {
	var v T
	if p, ok := any(&v).(*string); ok {
		*p = s
	} else if err := json.Unmarshal([]byte(s), &v); err != nil {
		return nil, fmt.Errorf("%q is no JSON of %T: %w", s, v, err)
	}
	return x.codec.Append([]byte{}, v)
}

func (x text[T]) Print(data []byte) (string, error) {
	v, err := x.codec.Decode(data)
	if err != nil {
		return "", err
	}
	switch v := any(v).(type) {
	case string:
		return v, nil
	case fmt.Stringer:
		return v.String(), nil
	}
	out, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("print %T: %w", v, err)
	}
	return string(out), nil
}

func (f Format) key() Text   { return orString(f.Key) }
func (f Format) value() Text { return orString(f.Value) }

func orString(t Text) Text {
	if t == nil {
		return TextOf(codecs.String)
	}
	return t
}

const null = "null"

// printed returns the text of an encoded value, "null" for null.
func printed(t Text, data []byte) (string, error) {
	if data == nil {
		return null, nil
	}
	return t.Print(data)
}
