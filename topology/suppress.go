package topology

import (
	"fmt"
	"math"
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology/engine"
)

// Suppression says how long a suppress operator holds updates back. [UntilTimeLimit] and [UntilWindowCloses] make one;
// its methods return changed copies.
type Suppression struct {
	limit          time.Duration
	closes         bool // until the window closes
	records, bytes bound
	stop           bool // when the buffer is full; else the oldest updates go out early
}

// bound is how much a buffer may hold.
type bound struct {
	most  int64
	given bool
}

// UntilTimeLimit holds the updates of a key back until stream time has passed the timestamp of the first one by d, and
// then forwards the last one. Further updates replace the held update and keep its place in the queue, so that a key
// that changes all the time still comes out every d. With 0 every update is forwarded at once.
//
//	stream time   0        2        4        6        8         UntilTimeLimit(6)
//	updates       a=1      b=1      a=2
//	forwarded                                a=2      b=1
//
// A buffer with bounds that has reached one forwards its oldest updates early; see [Suppression.StopWhenFull].
func UntilTimeLimit(d time.Duration) Suppression { return Suppression{limit: d} }

// UntilWindowCloses holds the updates of a window back until the window takes no more records: each key and window has
// one result, the final one. It is for windowed tables. A window that is deleted before it closes has no result.
//
// A buffer with bounds that has reached one is an error: a result that comes out early would not be final.
func UntilWindowCloses() Suppression { return Suppression{closes: true} }

// MaxRecords bounds the buffer to n updates. Without bounds, the buffer takes all updates: it is part of the state of
// the task, in memory within the budget of the caches and on disk beyond it.
func (s Suppression) MaxRecords(n int64) Suppression { s.records = bound{n, true}; return s }

// MaxBytes bounds the buffer to n bytes: keys, encoded values and headers.
func (s Suppression) MaxBytes(n int64) Suppression { s.bytes = bound{n, true}; return s }

// StopWhenFull makes a record that does not fit into the buffer an error, a [*engine.RecordError], instead of
// forwarding the oldest updates early. It needs a bound. UntilWindowCloses implies it.
func (s Suppression) StopWhenFull() Suppression { s.stop = true; return s }

// validate records mistakes in s as mistakes of n.
func (s Suppression) validate(n *node) {
	if s.records.given && s.records.most <= 0 {
		n.graph.errorf(n, "the buffer is bounded to %d records; want at least 1", s.records.most)
	}
	if s.bytes.given && s.bytes.most <= 0 {
		n.graph.errorf(n, "the buffer is bounded to %d bytes; want at least 1", s.bytes.most)
	}
	switch {
	case s.limit < 0:
		n.graph.errorf(n, "the time limit of %v is negative", s.limit)
	case s.limit%time.Millisecond != 0:
		n.graph.errorf(n, "the time limit of %v is not a whole number of milliseconds", s.limit)
	case s.stop && !s.records.given && !s.bytes.given:
		n.graph.errorf(n, "StopWhenFull needs a bound; set one with MaxRecords or MaxBytes")
	}
}

// full returns an error if the buffer exceeds its bounds. It calls bytes only if there is a bound of bytes and the
// number of records is within its own bound.
func (s Suppression) full(records int64, bytes func() int64) error {
	if s.records.given && records > s.records.most {
		return bufferFullError{"records", "MaxRecords", records, s.records.most}
	}
	if s.bytes.given {
		if held := bytes(); held > s.bytes.most {
			return bufferFullError{"bytes", "MaxBytes", held, s.bytes.most}
		}
	}
	return nil
}

// bufferFullError says that a buffer exceeds a bound. Most of these errors are never read: the buffer forwards its
// oldest updates instead.
type bufferFullError struct {
	unit, option string
	held, most   int64
}

func (e bufferFullError) Error() string {
	return fmt.Sprintf("the suppress buffer is full: %d %s, %d are allowed; raise %s, or let results go out early with UntilTimeLimit",
		e.held, e.unit, e.most, e.option)
}

// Suppress holds updates of the table back and forwards the last one of each key, see [UntilTimeLimit]. A result has
// the timestamp and the headers of its update, so timestamps may go back. Results of one record come out in the order
// of their places in the queue, then of their keys. Deletions are updates. Time is the stream time of this operator: it
// moves with records, here and in the upstream tasks, when an upstream task becomes idle, and in pauses if
// [AdvanceWhenIdle] is used.
//
// Held updates are kept in a store with the given name. When the task moves, none is lost and none is forwarded twice.
// While a key is held, an operator that joins with the result sees the update that was forwarded last
// (docs/semantics.md, Suppress; KIP-328).
func (t Table[K, V]) Suppress(name string, until Suppression) Table[K, V] {
	n := t.graph().namedNode("suppress", name)
	until.validate(n)
	if until.closes {
		n.graph.errorf(n, "UntilWindowCloses is for windowed tables, and this one has no windows; use UntilTimeLimit")
	}
	if t.view.history != nil {
		n.graph.errorf(n, "a versioned table cannot be suppressed: its updates are not in the order of time (KIP-914)")
	}
	if t.view.value == nil {
		n.graph.errorf(n, "it is not known how the values of the table are encoded; keep it in a store with Materialize, "+
			"or suppress the table before its values are mapped")
	}
	s := suppressor[K, K, V]{
		n: n, until: until, key: t.keys.codec, value: t.view.value, wait: until.limit.Milliseconds(), keys: t.keys,
		keyOf: func(c *change[K, V]) K { return c.Key },
		place: func(c *change[K, V]) int64 { return c.Timestamp },
		set:   func(c *change[K, V], key K) { c.Key = key },
		share: true,
	}
	return Table[K, V]{out: s.wire(t.out), keys: t.keys, view: s.view(t.view)}
}

// Suppress holds updates of the windows back and forwards the last one of each: with [UntilWindowCloses] the final one,
// when stream time has reached the end of the window and its grace (and, for sessions, the gap). Otherwise it works
// like [Table.Suppress].
//
// UntilWindowCloses needs windows with a Grace: the grace decides how late a record may be and still count, and how
// long results wait. Grace(0) means that no result waits for late records. As in Kafka Streams, a sliding window or
// session also takes records in the very millisecond in which it is forwarded, and is forwarded again with them
// (docs/semantics.md, Closing twice). EmitOnClose does not forward a window before it is over.
func (t WindowedTable[K, V]) Suppress(name string, until Suppression) WindowedTable[K, V] {
	n := t.graph().namedNode("suppress", name)
	until.validate(n)
	switch {
	case t.view.value == nil:
		n.graph.errorf(n, "it is not known how the values of the table are encoded; suppress it before they are mapped")
	case until.closes && !t.closing.graced:
		n.graph.errorf(n, "the windows have no grace, which decides when a result is final; "+
			"set it with Grace, Grace(0) if no late record counts")
	}
	s := suppressor[K, Windowed[K], V]{
		n: n, until: until, key: t.keys, value: t.view.value, wait: until.limit.Milliseconds(),
		keyOf: func(c *change[K, V]) Windowed[K] { return Windowed[K]{c.Key, c.Window} },
		place: func(c *change[K, V]) int64 { return c.Timestamp },
		set:   func(c *change[K, V], key Windowed[K]) { c.Key, c.Window = key.Key, key.Window },
	}
	if until.closes {
		t.closing.keeping.fromClose()
		s.wait, s.ahead = t.closing.wait, t.closing.length
		s.place = func(c *change[K, V]) int64 { return c.Window.End }
	}
	return WindowedTable[K, V]{out: s.wire(t.out), keys: t.keys, closing: t.closing, view: s.view(t.view)}
}

// suppressor is the suppress operator of tables with keys B in the buffer.
type suppressor[K, B, V any] struct {
	n     *node
	until Suppression
	key   codecs.Codec[B]
	value codecs.Codec[V]
	keys  keying[K]
	wait  int64 // from the place of an update to the stream time at which it is due
	ahead int64 // how far that place may be ahead of stream time
	keyOf func(c *change[K, V]) B
	place func(c *change[K, V]) int64
	set   func(c *change[K, V], key B)
	share bool // B is K: the encoded key of the record serves for both

	info *storeInfo
}

func (s *suppressor[K, B, V]) open(h *engine.Host) *state.SuppressBuffer[B, V] {
	return engine.Once(h, s, func() *state.SuppressBuffer[B, V] {
		buffer, err := state.NewSuppressBuffer(s.info.spec, h.State(), h.Budget(), s.key, s.value)
		if err != nil {
			h.Fail(err)
			return nil
		}
		h.AddStore(buffer)
		return buffer
	})
}

func (s *suppressor[K, B, V]) wire(from *port[change[K, V]]) *port[change[K, V]] {
	n := s.n
	s.info = n.keep(state.Spec{Name: n.name, Kind: state.SuppressKind})
	n.timed, n.wantsOld, n.behind = true, true, s.ahead+s.wait
	return then(from, n, func(h *engine.Host, next receiver[change[K, V]]) receiver[change[K, V]] {
		buffer := s.open(h)
		if buffer == nil {
			return nil
		}
		out := &change[K, V]{key: new(encodedKey)}
		forward := func(e *state.SuppressEntry[B, V]) error {
			if s.until.closes && !e.HasValue {
				return nil // the window was never forwarded
			}
			headers, err := decodeHeaders(e.Headers)
			if err != nil {
				return h.NodeError(n, err)
			}
			out.key.reset()
			*out = change[K, V]{
				New: e.Value, HasNew: e.HasValue, Old: e.Old, HasOld: e.HasOld, Timestamp: e.Timestamp, Headers: headers, key: out.key,
			}
			s.set(out, e.Key)
			return next(out)
		}
		evict := func(while func(time int64) bool) error {
			for e, err := range buffer.EvictWhile(while) {
				if err != nil {
					return h.NodeError(n, err)
				}
				if err := forward(&e); err != nil {
					return err
				}
			}
			return nil
		}
		var due int64
		isDue := func(time int64) bool { return time <= due }
		full := func() error { return s.until.full(buffer.Len(), buffer.Bytes) }
		isFull := func(int64) bool { return full() != nil }
		emit := func(now int64) error {
			due = sub(now, s.wait)
			return evict(isDue)
		}
		clock := h.Clock(n, n.name, engine.ClockHooks{Emit: emit, Node: n, Reach: s.ahead + s.wait})
		return func(c *change[K, V]) error {
			h.Enter(n)
			clock.Advance(c.Timestamp)
			update := state.TableUpdate[V]{
				Value: c.New, HasValue: c.HasNew, Old: c.Old, HasOld: c.HasOld && !c.Began, Timestamp: c.Timestamp, Headers: encodeHeaders(c.Headers),
			}
			if err := s.put(h, buffer, c, update); err != nil {
				return err
			}
			if err := emit(clock.Now); err != nil {
				return err
			}
			if s.until.stop || s.until.closes {
				if err := full(); err != nil {
					return h.RecordError(n, err)
				}
				return nil
			}
			return evict(isFull)
		}
	})
}

func (s *suppressor[K, B, V]) put(
	h *engine.Host, buffer *state.SuppressBuffer[B, V], c *change[K, V], update state.TableUpdate[V],
) (err error) {
	if s.share {
		var encoded []byte
		if encoded, err = s.keys.encode(h, s.n, c.key, c.Key); err != nil {
			return err
		}
		err = buffer.PutEncoded(encoded, s.place(c), update)
	} else {
		err = buffer.Put(s.keyOf(c), s.place(c), update)
	}
	if err != nil {
		return h.NodeError(s.n, err)
	}
	return nil
}

// view returns the rows downstream of the buffer: the rows before it, except that a held key has the row from the time
// when it was first held.
func (s *suppressor[K, B, V]) view(before *view[B, V]) *view[B, V] {
	return &view[B, V]{value: before.value, stores: s.read(before.stores), open: func(h *engine.Host) lookup[B, V] {
		buffer, rows := s.open(h), before.open(h)
		return func(key B, encoded []byte) (V, int64, bool, error) {
			held, ok, err := buffer.Get(key)
			if err != nil || ok {
				return held.Old, engine.UnknownTime, held.HasOld, err
			}
			return rows(key, encoded)
		}
	}}
}

// read returns the stores that readers of the rows downstream of the buffer read.
func (s *suppressor[K, B, V]) read(before []*storeInfo) []*storeInfo {
	return append([]*storeInfo{s.info}, before...)
}

// sub returns a - b, or the smallest number if the difference is smaller. b is not negative.
func sub(a, b int64) int64 {
	if a < math.MinInt64+b {
		return math.MinInt64
	}
	return a - b
}
