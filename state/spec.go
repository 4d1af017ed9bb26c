package state

import (
	"fmt"
	"time"
)

// Kind says how the rows of a store are keyed and which local rows go with them.
type Kind uint8

const (
	// KeyValueKind is a store of one row for each key.
	KeyValueKind Kind = iota + 1
	// WindowKind is a store of one row for each key and window start, with an index by time.
	WindowKind
)

// String returns the name of the kind as it appears in descriptions of a topology.
func (k Kind) String() string {
	switch k {
	case KeyValueKind:
		return "key-value"
	case WindowKind:
		return "window"
	default:
		return fmt.Sprintf("kind(%d)", uint8(k))
	}
}

// Spec describes one store: for topics, restore and readers.
type Spec struct {
	// Name is unique in its processor group; see [ValidateStoreName].
	Name string
	// Kind says which of the fields below count.
	Kind Kind
	// WindowSize is the length of the windows of a window store, in whole milliseconds.
	WindowSize time.Duration
	// Retention is how long a window store keeps a window, counted in stream time; 0 means until it is deleted.
	// The store itself expires nothing: its task calls Expire.
	Retention time.Duration
}

// Validate returns an error that names the store and the field that is wrong.
func (s Spec) Validate() error {
	if err := ValidateStoreName(s.Name); err != nil {
		return err
	}
	switch s.Kind {
	case KeyValueKind:
		if s.WindowSize != 0 || s.Retention != 0 {
			return fmt.Errorf("store %q: a key-value store has no window size and no retention", s.Name)
		}
	case WindowKind:
		if s.WindowSize <= 0 || s.WindowSize%time.Millisecond != 0 {
			return fmt.Errorf("store %q: window size %v: want a positive number of whole milliseconds", s.Name, s.WindowSize)
		}
		if s.Retention < 0 {
			return fmt.Errorf("store %q: retention %v is negative", s.Name, s.Retention)
		}
	default:
		return fmt.Errorf("store %q: unknown %v", s.Name, s.Kind)
	}
	return nil
}

// ValidateStoreName returns an error unless name consists of lower-case letters, digits and hyphens and starts with
// a letter or digit. Store names are part of row keys and of topic names.
func ValidateStoreName(name string) error {
	if name == "" {
		return fmt.Errorf("store name is empty: want lower-case letters, digits and hyphens")
	}
	for i := range len(name) {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		case c == '-' && i > 0:
		default:
			return fmt.Errorf("store name %q: character %d is %q: want lower-case letters, digits and hyphens, "+
				"the first one no hyphen", name, i+1, c)
		}
	}
	return nil
}
