package topology

import (
	"time"

	"github.com/seed84377926/millrace/state"
)

// TableOption is an option of [TableOf]: [Named], [Versioned], and those of [Source].
type TableOption interface{ applyTable(o *tableOptions) }

type tableOptions struct {
	nodeOptions
	storeOptions
	sourceOptions sourceOptions
}

// StoreOption is an option of an operator that keeps a table: [Versioned].
type StoreOption interface {
	TableOption
	applyStore(o *storeOptions)
}

// storeOptions say what kind of store keeps the rows of a table.
type storeOptions struct {
	versioned bool
	history   time.Duration
}

type versionedOption time.Duration

func (v versionedOption) applyStore(o *storeOptions) { o.versioned, o.history = true, time.Duration(v) }
func (v versionedOption) applyTable(o *tableOptions) { v.applyStore(&o.storeOptions) }

// Versioned keeps the old values of a table as well (KIP-889, KIP-914), so that a join can ask what the value was at the time of
// a record: [Stream.JoinTable] does so. Updates count by their timestamps, not by the order in which they come: one that is older
// than the latest value of its key becomes a part of the history, and the latest value stays.
//
// History reaches back from the largest timestamp that the table has seen. An update that is older than that is dropped
// ([DropTooOld]); the version that is valid where history begins, and the latest one, are kept however old they are.
//
// An update of the history alone is forwarded like any other, and operators that work with the latest values leave it out:
// joins of tables and groupings.
func Versioned(history time.Duration) StoreOption { return versionedOption(history) }

// storeNode registers an operator that keeps a table under a name that the user must choose.
func (b *Builder) storeNode(kind, name string, opts []StoreOption) (*node, storeOptions) {
	n := b.namedNode(kind, name)
	var o storeOptions
	for _, opt := range opts {
		if opt == nil {
			b.errorf(n, "option is nil")
			continue
		}
		opt.applyStore(&o)
	}
	o.validate(n)
	return n, o
}

func (o storeOptions) validate(n *node) {
	if !o.versioned {
		return
	}
	switch {
	case o.history <= 0:
		n.builder.errorf(n, "the history of %v is not positive; say how long old versions are of use", o.history)
	case o.history%time.Millisecond != 0:
		n.builder.errorf(n, "the history of %v is not a whole number of milliseconds", o.history)
	}
}

// spec describes the store.
func (o storeOptions) spec(name string) state.Spec {
	if o.versioned {
		return state.Spec{Name: name, Kind: state.VersionedKind, Retention: o.history}
	}
	return state.Spec{Name: name, Kind: state.KeyValueKind}
}
