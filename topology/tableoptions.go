package topology

import (
	"time"

	"github.com/seed84377926/millrace/state"
)

type storeOption func(o *storeOptions)

func (f storeOption) applyStore(o *storeOptions)         { f(o) }
func (f storeOption) applyTable(o *tableOptions)         { f(&o.storeOptions) }
func (f storeOption) applyAggregate(o *aggregateOptions) { f(&o.storeOptions) }

// Versioned keeps the old values of a table as well (KIP-889, KIP-914), so that a join finds the value that was valid
// at the time of a record, as [Stream.JoinTable] does. Updates count by their timestamps and not by the order in which
// they come: an update that is older than the latest value of its key becomes part of the history, and the latest value
// stays.
//
// History reaches back from the largest timestamp that the table has seen. An older update is dropped ([DropTooOld]).
// Two versions are kept however old they are: the version that is valid where history begins, and the latest version.
//
// An update that changes only the history is forwarded like any other. Joins of tables and groupings work with the
// latest values and leave it out.
func Versioned(history time.Duration) StoreOption {
	return storeOption(func(o *storeOptions) { o.versioned, o.history = true, history })
}

// TTL makes the rows of a table expire: a row is gone when the stream time of the table exceeds the timestamp of the
// row by more than ttl. A row that is written again lives on from its new timestamp. The timestamp of an aggregate is
// the timestamp of its latest record. (Kafka Streams has no such option.)
//
//	stream time   0        5        10       15       20        TTL(10)
//	records       a=1      b=1      b=2      c=1      c=2
//	forwarded     a=1      b=1      b=2      a null   c=2
//	                                         c=1
//
// An expired row is gone from the store, and readers of the table do not see it any more. Its deletion is forwarded
// with the last timestamp at which the row was alive, before the record whose timestamp ended it, so that joins and
// groupings downstream are right. Rows that expire together do so in the order of their timestamps, then of their keys.
// Time does not pass by itself, unless [AdvanceWhenIdle] is used. A record whose row would have expired already is
// dropped ([DropTooOld]); a deletion is not.
func TTL(ttl time.Duration) StoreOption {
	return storeOption(func(o *storeOptions) { o.expiring, o.ttl = true, ttl })
}

// storeNode registers an operator that keeps a table under a name that the user must choose.
func (g *graph) storeNode(kind, name string, opts []StoreOption) (*node, storeOptions) {
	n := g.namedNode(kind, name)
	var o storeOptions
	for _, opt := range opts {
		if opt == nil {
			g.errorf(n, "option is nil")
			continue
		}
		opt.applyStore(&o)
	}
	o.validate(n)
	return n, o
}

func (o storeOptions) validate(n *node) {
	if o.versioned && o.expiring {
		n.graph.errorf(n, "a table has either Versioned or TTL: old versions go when history is over")
	}
	for _, d := range []struct {
		given bool
		what  string
		time.Duration
	}{{o.versioned, "history", o.history}, {o.expiring, "TTL", o.ttl}} {
		switch {
		case !d.given:
		case d.Duration <= 0:
			n.graph.errorf(n, "the %s of %v is not positive", d.what, d.Duration)
		case d.Duration%time.Millisecond != 0:
			n.graph.errorf(n, "the %s of %v is not a whole number of milliseconds", d.what, d.Duration)
		}
	}
}

// refuse records a mistake of the windowed aggregation n if there are options for its store.
func (o storeOptions) refuse(n *node) {
	if o.versioned || o.expiring {
		n.graph.errorf(n, "Versioned and TTL are for tables without windows; windows have a Retention")
	}
}

// spec describes the store.
func (o storeOptions) spec(name string) state.Spec {
	if o.versioned {
		return state.Spec{Name: name, Kind: state.VersionedKind, Retention: o.history}
	}
	return state.Spec{Name: name, Kind: state.KeyValueKind, TTL: o.ttl}
}
