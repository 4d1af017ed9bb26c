package topology

import (
	"context"
	"runtime/debug"
	"time"

	"github.com/seed84377926/millrace/topology/engine"
)

// ProcessAsync replaces each value by what f makes of the record, and calls f for many records at a time: it is for
// calls that wait, such as those of other systems. Records of one key are called one after the other and keep their
// order; records of other keys overtake them. At most concurrency calls of a task run at a time. Key, timestamp and
// headers stay; a record with a null value passes in its place, without a call.
//
// f runs on a goroutine of its own: it must share nothing with other calls that is not safe for concurrent use. ctx
// ends when the result is not wanted any more. Errors and panics are handled like those of a [Processor]. After a
// crash, too, a call whose transaction was aborted is made again, and its result counts once.
//
// A commit waits for the running calls, and the task takes no new records until it is done: if calls are much slower
// than the commit interval, commit less often. Bound calls with [CallTimeout]: if the runtime has waited for a call for
// longer than a transaction may last, it gives up the transaction and begins it again.
func (s Stream[K, V]) ProcessAsync[V2 any](
	name string, concurrency int, f func(ctx context.Context, r Record[K, V]) (V2, error), opts ...AsyncOption,
) Stream[K, V2] {
	n := s.graph().namedNode("process-async", name)
	n.require(f != nil, "function")
	if concurrency < 1 {
		n.graph.errorf(n, "%d calls at a time; want at least 1", concurrency)
	}
	if s.keys.codec == nil && s.keys.changed != "" {
		n.graph.errorf(n, "the keys were changed at %s and have no codec, by which equal ones are found; "+
			"call it before, or call Repartition between the two", s.keys.changed)
	}
	var o asyncOptions
	for _, opt := range opts {
		if opt == nil {
			n.graph.errorf(n, "option is nil")
			continue
		}
		opt.applyAsync(&o)
	}
	if o.timeout < 0 {
		n.graph.errorf(n, "the timeout of calls is %v; want more than 0", o.timeout)
	}
	out := then(s.out, n, func(h *engine.Host, next receiver[item[K, V2]]) receiver[item[K, V]] {
		a := &async[K, V, V2]{
			h: h, n: n, f: f, concurrency: concurrency, timeout: o.timeout, next: next, it: &item[K, V2]{key: new(encodedKey)},
		}
		a.Reset()
		h.AddCaller(a)
		return func(it *item[K, V]) error {
			var key string // "" for a null key: every other key has a mark in front
			if !it.NullKey {
				encoded, err := s.keys.encode(h, n, it.key, it.Key)
				if err != nil {
					return err
				}
				key = "k" + string(encoded)
			}
			return a.accept(key, &it.Record)
		}
	})
	return Stream[K, V2]{out: out, keys: s.keys}
}

// AsyncOption is an option of [Stream.ProcessAsync]: [CallTimeout].
type AsyncOption interface{ applyAsync(o *asyncOptions) }

type asyncOptions struct{ timeout time.Duration }

type callTimeout time.Duration

func (d callTimeout) applyAsync(o *asyncOptions) { o.timeout = time.Duration(d) }

// CallTimeout ends the context of each call after so long. The call should return its error then.
func CallTimeout(d time.Duration) AsyncOption { return callTimeout(d) }

// waitingPerCall is how many records may wait for each call that may run. Records of a slow key must not keep other
// keys from being called, and must not fill the memory.
const waitingPerCall = 16

// async are the calls of one node in one task.
type async[K, V, V2 any] struct {
	h           *engine.Host
	n           *node
	f           func(ctx context.Context, r Record[K, V]) (V2, error)
	concurrency int
	timeout     time.Duration
	next        receiver[item[K, V2]]
	it          *item[K, V2]

	lines   map[string]*line[K, V, V2] // by key
	ready   []*asyncCall[K, V, V2]     // firsts of their lines that wait because all calls that may run are running
	waiting int                        // accepted and not settled
	running int
}

// line are the records of one key, in their order; the first one is called.
type line[K, V, V2 any] struct {
	key   string
	calls []*asyncCall[K, V, V2]
}

// asyncCall is the call for one record.
type asyncCall[K, V, V2 any] struct {
	engine.Call

	line   *line[K, V, V2]
	record Record[K, V]
	value  V2
	err    error
}

// Reset implements engine.Caller.
func (a *async[K, V, V2]) Reset() {
	a.lines, a.ready, a.waiting, a.running = make(map[string]*line[K, V, V2]), nil, 0, 0
}

// accept takes a record. If too many wait, it first waits for results and forwards them.
func (a *async[K, V, V2]) accept(key string, r *Record[K, V]) error {
	for a.waiting >= a.concurrency*waitingPerCall {
		if _, err := a.h.SettleCall(true); err != nil {
			return err
		}
	}
	own := &line[K, V, V2]{key: key}
	if key != "" {
		if at := a.lines[key]; at != nil {
			own = at
		} else {
			a.lines[key] = own
		}
	}
	c := &asyncCall[K, V, V2]{line: own, record: *r}
	c.Call = a.h.NewCall(a.timeout,
		func(ctx context.Context) { c.value, c.err = a.call(ctx, c.record) },
		func() error { return a.ended(c) })
	own.calls = append(own.calls, c)
	a.waiting++
	a.h.AcceptCall(&c.Call)
	if len(own.calls) > 1 {
		return nil
	}
	return a.first(own)
}

// call makes the call, on its goroutine.
func (a *async[K, V, V2]) call(ctx context.Context, r Record[K, V]) (v V2, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &engine.PanicError{Value: p, Stack: debug.Stack()}
		}
	}()
	return a.f(ctx, r)
}

// first makes the first record of the line ready; records that need no call are settled.
func (a *async[K, V, V2]) first(l *line[K, V, V2]) error {
	for len(l.calls) > 0 && l.calls[0].record.NullValue {
		c := l.calls[0]
		if err := a.h.WithinCall(&c.Call, func() error { return a.settle(c) }); err != nil {
			return err
		}
	}
	switch {
	case len(l.calls) > 0:
		a.ready = append(a.ready, l.calls[0])
	case l.key != "":
		delete(a.lines, l.key)
	}
	a.start()
	return nil
}

func (a *async[K, V, V2]) start() {
	for a.running < a.concurrency && len(a.ready) > 0 {
		c := a.ready[0]
		a.ready = a.ready[1:]
		a.running++
		a.h.StartCall(&c.Call)
	}
}

// ended takes the result of a call.
func (a *async[K, V, V2]) ended(c *asyncCall[K, V, V2]) error {
	a.running--
	if c.err != nil {
		a.h.Enter(a.n)
		if a.h.Context().Err() != nil {
			return a.h.NodeError(a.n, c.err)
		}
		return a.h.RecordError(a.n, c.err)
	}
	if err := a.settle(c); err != nil {
		return err
	}
	return a.first(c.line)
}

// settle forwards the result of the first in its line.
func (a *async[K, V, V2]) settle(c *asyncCall[K, V, V2]) error {
	c.line.calls = c.line.calls[1:]
	a.waiting--
	a.h.CallSettled()
	a.it.key.reset()
	a.it.Record = Record[K, V2]{
		Key: c.record.Key, NullKey: c.record.NullKey, Value: c.value, NullValue: c.record.NullValue,
		Timestamp: c.record.Timestamp, Headers: c.record.Headers,
	}
	return a.next(a.it)
}
