package topology

import (
	"fmt"
	"slices"
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology/engine"
)

// Store is a store for processors: [KeyValueStore], [WindowStore] and the like declare one, and [Store.In] opens it. S
// is what the processor gets, such as *state.KeyValue[string, int64].
//
// Several processors may use one store; they then run in one sub-topology, and see what the others wrote. A store is
// kept like the stores of operators: it is in the changelog of the group and restored from there, it is rolled back
// with the transaction that wrote it, and views read it from outside.
type Store[S any] struct {
	decl *storeDecl
	open func(h *engine.Host, n *node) (store S, advance advanceFunc, err error)
}

// storeDecl is the untyped part of a declared store.
type storeDecl struct {
	node  *node // stands for the call that declared it and is no part of the graph
	info  *storeInfo
	timed bool // rows expire
}

// KeyValueStore declares a store of one row for each key.
func KeyValueStore[K, V any](b *Builder, name string, key codecs.Codec[K], value codecs.Codec[V]) Store[*state.KeyValue[K, V]] {
	decl := b.declare("key-value-store", state.Spec{Name: name, Kind: state.KeyValueKind}, key != nil, value != nil)
	return Store[*state.KeyValue[K, V]]{decl, func(h *engine.Host, _ *node) (*state.KeyValue[K, V], advanceFunc, error) {
		store, err := state.NewKeyValue(name, h.WatchedState(), h.Budget(), key, value)
		return keepOpen(h, store, nil, err)
	}}
}

// ExpiringStore declares a key-value store whose rows go when the stream time of the store has passed their timestamp
// by more than ttl. That stream time is the largest timestamp of the records that reached a processor that uses the
// store.
func ExpiringStore[K, V any](
	b *Builder, name string, ttl time.Duration, key codecs.Codec[K], value codecs.Codec[V],
) Store[*state.Expiring[K, V]] {
	spec := state.Spec{Name: name, Kind: state.KeyValueKind, TTL: ttl}
	decl := b.declare("expiring-store", spec, key != nil, value != nil)
	if ttl == 0 {
		b.errorf(decl.node, "the TTL is 0: want the time that rows live")
	}
	return Store[*state.Expiring[K, V]]{decl, func(h *engine.Host, n *node) (*state.Expiring[K, V], advanceFunc, error) {
		store, err := state.NewExpiring(spec, h.WatchedState(), h.Budget(), key, value)
		if err != nil {
			return nil, nil, err
		}
		return keepOpen(h, store, telling(forgetting(h, n, name, ttl, store.Expire), store.Advance), nil)
	}}
}

// WindowStore declares a store of one row for each key and window start; all windows have the same size. A window goes
// when the stream time of the store (see [ExpiringStore]) has passed its start by more than the retention. It may go
// later, by an eighth of the retention at most, but always at the same record. 0 keeps windows until they are deleted.
func WindowStore[K, V any](
	b *Builder, name string, size, retention time.Duration, key codecs.Codec[K], value codecs.Codec[V],
) Store[*state.Windowed[K, V]] {
	spec := state.Spec{Name: name, Kind: state.WindowKind, WindowSize: size, Retention: retention}
	decl := b.declare("window-store", spec, key != nil, value != nil)
	if 0 < retention && retention < size {
		b.errorf(decl.node, "the retention of %v is shorter than the window size of %v", retention, size)
	}
	return Store[*state.Windowed[K, V]]{decl, func(h *engine.Host, n *node) (*state.Windowed[K, V], advanceFunc, error) {
		store, err := state.NewWindowed(spec, h.WatchedState(), h.Budget(), key, value)
		if err != nil {
			return nil, nil, err
		}
		return keepOpen(h, store, expiring(h, n, spec, retention-size, store.Expire), nil)
	}}
}

// SessionStore declares a store of one row for each key and session. A session goes when the stream time of the store
// has passed its end by more than the retention, as a window does in a [WindowStore].
func SessionStore[K, V any](
	b *Builder, name string, retention time.Duration, key codecs.Codec[K], value codecs.Codec[V],
) Store[*state.Sessions[K, V]] {
	spec := state.Spec{Name: name, Kind: state.SessionKind, Retention: retention}
	decl := b.declare("session-store", spec, key != nil, value != nil)
	return Store[*state.Sessions[K, V]]{decl, func(h *engine.Host, n *node) (*state.Sessions[K, V], advanceFunc, error) {
		store, err := state.NewSessions(spec, h.WatchedState(), h.Budget(), key, value)
		if err != nil {
			return nil, nil, err
		}
		return keepOpen(h, store, expiring(h, n, spec, retention, store.Expire), nil)
	}}
}

// VersionedStore declares a store of all versions of each key. The history reaches back from the stream time of the
// store (see [ExpiringStore]) by the retention; 0 keeps all versions.
func VersionedStore[K, V any](
	b *Builder, name string, retention time.Duration, key codecs.Codec[K], value codecs.Codec[V],
) Store[*state.Versioned[K, V]] {
	spec := state.Spec{Name: name, Kind: state.VersionedKind, Retention: retention}
	decl := b.declare("versioned-store", spec, key != nil, value != nil)
	return Store[*state.Versioned[K, V]]{decl, func(h *engine.Host, n *node) (*state.Versioned[K, V], advanceFunc, error) {
		store, err := state.NewVersioned(spec, h.WatchedState(), h.Budget(), key, value)
		if err != nil || retention == 0 {
			return keepOpen(h, store, nil, err)
		}
		clock := forgetting(h, n, name, retention, store.Expire)
		if clock.Several() {
			store.FollowTime()
		}
		return keepOpen(h, store, telling(clock, store.Advance), nil)
	}}
}

// In opens the store where a processor is created. Opening a store again costs little.
func (s Store[S]) In(p ProcessorScope) S {
	if s.decl == nil {
		panic("topology: method of the zero Store called; stores are made by topology.KeyValueStore and the like")
	}
	sc := p.scopeOf()
	return openIn(sc, s.decl, fmt.Sprintf("store %q", s.decl.info.spec.Name), func() (S, bool) {
		var none S
		if sc.h.Trial() && !sc.connect(s.decl) {
			return none, false
		}
		if !slices.Contains(sc.n.stores, s.decl.info) {
			return none, false
		}
		opened := engine.Once(sc.h, s.decl, func() openedStore[S] {
			store, advance, err := s.open(sc.h, sc.n)
			if err != nil {
				sc.problem(err)
			}
			return openedStore[S]{store, advance}
		})
		if opened.advance != nil {
			sc.advances = append(sc.advances, opened.advance)
		}
		return opened.store, true
	})
}

type openedStore[S any] struct {
	store   S
	advance advanceFunc
}

// connect makes the store one of the node's, in the trial of Build.
func (s *scope) connect(decl *storeDecl) bool {
	if !s.n.sameBuilder(decl.node) {
		return false
	}
	if slices.Contains(s.n.stores, decl.info) {
		return true
	}
	if decl.info.owner == nil {
		decl.info.owner = s.n
	}
	decl.info.users = append(decl.info.users, s.n)
	s.n.stores = append(s.n.stores, decl.info)
	s.n.timed = s.n.timed || decl.timed
	return true
}

// declare registers a store for processors.
func (g *graph) declare(kind string, spec state.Spec, key, value bool) *storeDecl {
	n := &node{graph: g, kind: kind, site: callSite()}
	n.setName(spec.Name)
	n.requireCodecs(key, value)
	if spec.Name == engine.TimesStore {
		g.errorf(n, "the store name %q is reserved", engine.TimesStore)
	} else if err := spec.Validate(); err != nil && state.ValidateStoreName(spec.Name) == nil {
		g.errorf(n, "%w", err)
	}
	decl := &storeDecl{node: n, info: &storeInfo{spec: spec}, timed: spec.TTL != 0 || spec.Retention != 0}
	if g.isOpen(n) {
		g.afterTrials = append(g.afterTrials, decl.checkUsed)
	}
	return decl
}

// checkUsed records a mistake if no processor was created that uses the store.
func (d *storeDecl) checkUsed() {
	if len(d.info.users) == 0 {
		d.node.graph.errorf(d.node, "no processor uses the store; open it with Store.In, or remove it")
	}
}

// keepOpen makes an opened store one of the task's.
func keepOpen[S state.Store](h *engine.Host, store S, advance advanceFunc, err error) (S, advanceFunc, error) {
	if err == nil {
		h.AddStore(store)
	}
	return store, advance, err
}

// expireFunc is how stores remove what is older than a timestamp.
type expireFunc func(before int64) (n int, err error)

// forgetting returns the stream time of a store that hides its old rows itself. Before a commit, rows that are older by
// more than age are removed.
func forgetting(h *engine.Host, n *node, name string, age time.Duration, expire expireFunc) *engine.Clock {
	return h.Clock(n, name, engine.ClockHooks{Expire: func(now int64) error {
		_, err := expire(now - age.Milliseconds())
		return err
	}})
}

// telling returns a function that tells the stream time to a store that hides its old rows itself.
func telling(clock *engine.Clock, advance func(streamTime int64)) advanceFunc {
	if clock.Now != engine.UnknownTime {
		advance(clock.Now)
	}
	clock.Advanced = func(_, now int64) { advance(now) }
	return func(timestamp int64) error {
		clock.Advance(timestamp)
		advance(clock.Now)
		return nil
	}
}

// expiring returns a function that tells the stream time to a store that hides no rows. Rows that are older by more
// than age are removed at fixed times, and not at commits, so that what a processor sees depends on its input only.
func expiring(h *engine.Host, n *node, spec state.Spec, age time.Duration, expire expireFunc) advanceFunc {
	if spec.Retention == 0 {
		return nil
	}
	const steps = 8
	step := max(1, spec.Retention.Milliseconds()/steps)
	clock := h.Clock(n, spec.Name, engine.ClockHooks{})
	before := clock.Now
	clock.Advanced = func(at, _ int64) { before = at }
	clock.Emit = func(now int64) error {
		if now/step == before/step {
			return nil
		}
		_, err := expire(now - age.Milliseconds())
		return err
	}
	return func(timestamp int64) error {
		before = clock.Now
		clock.Advance(timestamp)
		return clock.Emit(clock.Now)
	}
}
