package state

import (
	"fmt"
	"math"
)

// Layout is the set of stores whose rows share a changelog, so that a restore can distinguish their rows. It is
// immutable and safe for concurrent use.
type Layout struct {
	specs map[string]Spec
}

// NewLayout returns the layout of the given stores. It fails if a spec is invalid or a name is used twice.
func NewLayout(specs ...Spec) (*Layout, error) {
	l := &Layout{specs: make(map[string]Spec, len(specs))}
	for _, spec := range specs {
		if err := spec.Validate(); err != nil {
			return nil, err
		}
		if _, taken := l.specs[spec.Name]; taken {
			return nil, fmt.Errorf("store %q is defined twice: give one of the two another name", spec.Name)
		}
		l.specs[spec.Name] = spec
	}
	return l, nil
}

// RestoreRow appends to b the changes that a changelog record makes to these stores: the row itself and its local rows.
// key is the record's key, which starts with the store's name; a nil value is a tombstone. Rows of the runtime, such as
// the position, are restored as they are. In a store with a TTL and in a suppress store, the local row of a replaced or
// deleted row stays until the owner reads it in Expire or EvictWhile. A program that only reads passes a spec without
// the TTL instead. Rows of other stores are skipped, and RestoreRow returns false. It does not keep key and value.
func (l *Layout) RestoreRow(b *Batch, key, value []byte) (known bool, err error) {
	if len(key) > 0 && key[0] == runtimePrefix {
		restore(b, key, value)
		return true, nil
	}
	store, storeKey, ok := SplitRowKey(key)
	if !ok {
		return false, nil
	}
	spec, ok := l.specs[store]
	if !ok {
		return false, nil
	}
	local, err := spec.localKey(storeKey, value)
	if err != nil {
		return false, fmt.Errorf("restore store %q: %w", store, err)
	}
	restore(b, key, value)
	switch {
	case local == nil:
	case value == nil:
		b.DeleteLocal(local)
	default:
		b.SetLocal(local, nil)
	}
	return true, nil
}

// localKey returns the key of the local row that goes with a row, or nil if there is none or it cannot be computed. It
// fails if the row does not have the format of the store. A nil value means that the row is deleted.
func (s Spec) localKey(storeKey, value []byte) (local []byte, err error) {
	switch s.Kind {
	case WindowKind:
		if _, _, err := SplitWindowKey(nil, storeKey); err != nil {
			return nil, err
		}
		return appendLocalByKeyTime(nil, s.Name, storeKey, startSize), nil
	case SessionKind:
		if _, _, err := SplitSessionKey(nil, storeKey); err != nil {
			return nil, err
		}
		return appendLocalByKeyTime(nil, s.Name, storeKey, sessionSize), nil
	case VersionedKind:
		_, end, err := SplitVersionKey(nil, storeKey)
		if err != nil || end == math.MaxInt64 {
			return nil, err
		}
		return appendLocalByKeyTime(nil, s.Name, storeKey, versionSize), nil
	case JoinKind:
		if len(storeKey) == 0 {
			return nil, nil
		}
		if _, _, _, err := SplitJoinKey(nil, storeKey); err != nil {
			return nil, err
		}
		return appendLocalByKeyTime(nil, s.Name, storeKey, joinSize), nil
	case QueueKind:
		if len(storeKey) > 0 {
			_, _, err = SplitQueueKey(nil, storeKey)
		}
		return nil, err
	case IndexKind:
		if len(storeKey) > 0 {
			_, _, err = SplitIndexKey(nil, storeKey)
		}
		return nil, err
	case SuppressKind:
		if len(storeKey) > 0 {
			if _, err := splitSuppressKey(nil, storeKey); err != nil {
				return nil, err
			}
		}
		if len(storeKey) == 0 || value == nil {
			return nil, nil
		}
		return timestampLocalKey(s.Name, storeKey, value)
	default:
		if s.TTL == 0 || value == nil {
			return nil, nil
		}
		return timestampLocalKey(s.Name, storeKey, value)
	}
}

func timestampLocalKey(store string, storeKey, value []byte) ([]byte, error) {
	timestamp, _, err := SplitRowValue(value)
	if err != nil {
		return nil, err
	}
	return appendLocalByTimestamp(nil, store, storeKey, timestamp), nil
}

func restore(b *Batch, key, value []byte) {
	if value == nil {
		b.Delete(key)
	} else {
		b.Set(key, value)
	}
}
