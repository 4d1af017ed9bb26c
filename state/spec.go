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
	// WindowKind is a store of one row for each key and window start, with a time order by the start of the window.
	WindowKind
	// SessionKind is a store of one row for each key and session, with a time order by the end of the session.
	SessionKind
	// VersionedKind is a store of all versions of each key, with a time order by the time at which each version was
	// replaced.
	VersionedKind
	// SuppressKind is a store of one row for each key and its place in time, with a time order by that place.
	SuppressKind
	// JoinKind is a store of all records of each key, by timestamp, with a time order by timestamp.
	JoinKind
	// QueueKind is a store of rows in the order of time.
	QueueKind
	// IndexKind is a store of one row for each index key and key of a row of another store, see [Index].
	IndexKind
)

// String returns the name of the kind as it appears in descriptions of a topology.
func (k Kind) String() string {
	switch k {
	case KeyValueKind:
		return "key-value"
	case WindowKind:
		return "window"
	case SessionKind:
		return "session"
	case VersionedKind:
		return "versioned"
	case SuppressKind:
		return "suppress"
	case JoinKind:
		return "join"
	case QueueKind:
		return "queue"
	case IndexKind:
		return "index"
	default:
		return fmt.Sprintf("kind(%d)", uint8(k))
	}
}

// indefinite returns the kind with an article.
func (k Kind) indefinite() string {
	if k == IndexKind {
		return "an index store"
	}
	return fmt.Sprintf("a %v store", k)
}

func (k Kind) known() bool { return KeyValueKind <= k && k <= IndexKind }

// Spec describes one store: for topics, restore and readers.
type Spec struct {
	// Name is unique in its processor group; see [ValidateStoreName].
	Name string
	// Kind says which of the fields below apply.
	Kind Kind
	// WindowSize is the length of the windows of a window store, in whole milliseconds. It is 0 for windows by the
	// calendar.
	WindowSize time.Duration
	// Calendar says when the windows of a window store begin and end, unless they all have one size.
	Calendar Calendar
	// Retention is how long rows are kept, counted in stream time: the windows of a window store, sessions after their
	// end, versions after they were replaced, and the records of a join store after their timestamp. 0 keeps windows
	// and sessions until they are deleted, and versions and records forever. The store itself expires nothing: its task
	// calls Expire.
	Retention time.Duration
	// TTL is how long a key-value store keeps a row after the row's timestamp, counted in stream time, in whole
	// milliseconds; 0 means until it is deleted. Such a store is made by [NewExpiring].
	TTL time.Duration
	// Of is the name of the store that an index belongs to: a key-value store or a versioned store of the same group.
	Of string
}

// Validate returns an error that names the store and the field that is wrong.
func (s Spec) Validate() error {
	if err := ValidateStoreName(s.Name); err != nil {
		return err
	}
	if s.TTL != 0 && s.Kind != KeyValueKind && s.Kind.known() {
		return fmt.Errorf("store %q: only a key-value store has a TTL, not %s", s.Name, s.Kind.indefinite())
	}
	if s.Calendar != (Calendar{}) && s.Kind != WindowKind && s.Kind.known() {
		return fmt.Errorf("store %q: only a window store has a calendar, not %s", s.Name, s.Kind.indefinite())
	}
	if s.Of != "" && s.Kind != IndexKind && s.Kind.known() {
		return fmt.Errorf("store %q: only an index leads to the rows of another store, not %s", s.Name, s.Kind.indefinite())
	}
	switch s.Kind {
	case KeyValueKind:
		if s.TTL < 0 || s.TTL%time.Millisecond != 0 {
			return fmt.Errorf("store %q: TTL %v: want a positive number of whole milliseconds, or 0 for none", s.Name, s.TTL)
		}
		if s.WindowSize != 0 || s.Retention != 0 {
			return fmt.Errorf("store %q: a key-value store has no window size and no retention", s.Name)
		}
	case WindowKind:
		if s.Calendar != (Calendar{}) {
			return s.validateCalendar()
		}
		if s.WindowSize <= 0 || s.WindowSize%time.Millisecond != 0 {
			return fmt.Errorf("store %q: window size %v: want a positive number of whole milliseconds", s.Name, s.WindowSize)
		}
		return s.validateRetention()
	case SessionKind, VersionedKind, JoinKind:
		if s.WindowSize != 0 {
			return fmt.Errorf("store %q: a %v store has no window size", s.Name, s.Kind)
		}
		return s.validateRetention()
	case SuppressKind, QueueKind, IndexKind:
		if s.WindowSize != 0 || s.Retention != 0 {
			return fmt.Errorf("store %q: %s has no window size and no retention", s.Name, s.Kind.indefinite())
		}
		if s.Kind == IndexKind {
			return s.validateOf()
		}
	default:
		return fmt.Errorf("store %q: unknown %v", s.Name, s.Kind)
	}
	return nil
}

func (s Spec) validateCalendar() error {
	if s.WindowSize != 0 {
		return fmt.Errorf("store %q: windows by the calendar have no size, want 0 and not %v", s.Name, s.WindowSize)
	}
	if err := s.Calendar.Validate(); err != nil {
		return fmt.Errorf("store %q: %w", s.Name, err)
	}
	return s.validateRetention()
}

// WindowFrom returns the window of a window store that starts at start (milliseconds).
func (s Spec) WindowFrom(start int64) Window {
	if s.Calendar != (Calendar{}) {
		return Window{Start: start, End: s.Calendar.Window(start).End}
	}
	return windowOf(start, s.WindowSize.Milliseconds())
}

func (s Spec) validateRetention() error {
	if s.Retention < 0 {
		return fmt.Errorf("store %q: retention %v is negative", s.Name, s.Retention)
	}
	return nil
}

func (s Spec) validateOf() error {
	if err := ValidateStoreName(s.Of); err != nil {
		return fmt.Errorf("store %q: the store that it is an index of: %w", s.Name, err)
	}
	if s.Of == s.Name {
		return fmt.Errorf("store %q is an index of itself: want the name of another store", s.Name)
	}
	return nil
}

// validateKind is Validate for a store that must have the given kind.
func (s Spec) validateKind(kind Kind) error {
	if err := s.Validate(); err != nil {
		return err
	}
	if s.Kind != kind {
		return fmt.Errorf("store %q is %s, not %s", s.Name, s.Kind.indefinite(), kind.indefinite())
	}
	return nil
}

// ValidateStoreName returns an error unless name consists of lower-case letters, digits and hyphens and starts with a
// letter or digit. Store names are part of row keys and of topic names.
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
