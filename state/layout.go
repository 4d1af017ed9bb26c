package state

import "fmt"

// Layout knows the stores whose rows share a changelog, so that restore can tell them apart. It is immutable and
// safe for concurrent use.
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

// RestoreRow appends to b what a record of the changelog means for these stores: the row itself and its local rows.
// key is the record's key with the store's name before it; a nil value is a tombstone. Rows of the runtime, such as
// the position, are restored as they are. Rows of other stores are skipped and reported false. It does not keep key
// and value.
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
	switch spec.Kind {
	case KeyValueKind:
		restore(b, key, value)
	case WindowKind:
		if _, _, err := SplitWindowKey(nil, storeKey); err != nil {
			return false, fmt.Errorf("restore store %q: %w", store, err)
		}
		restore(b, key, value)
		index := appendWindowIndexKey(make([]byte, 0, len(key)+1), store, storeKey)
		if value == nil {
			b.DeleteLocal(index)
		} else {
			b.SetLocal(index, nil)
		}
	}
	return true, nil
}

func restore(b *Batch, key, value []byte) {
	if value == nil {
		b.Delete(key)
	} else {
		b.Set(key, value)
	}
}
