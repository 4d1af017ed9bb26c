package topology

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/seed84377926/millrace/topology/engine"
)

// ProcessorContext is what a processor of [Stream.Process] has of its task; K and V are the types of what it forwards. It
// belongs to the goroutine of the task.
type ProcessorContext[K, V any] struct {
	*scope

	all      receiver[item[K, V]]
	children []receiver[item[K, V]]
	ends     []*node // the children
	it       *item[K, V]
}

// Forward sends r to all children, which process it before the call returns. If one of them fails, the rest of what the
// processor does for its record is done in vain, and the failure is that of the child.
func (p *ProcessorContext[K, V]) Forward(r Record[K, V]) { p.forward(p.all, r) }

func (p *ProcessorContext[K, V]) forward(to receiver[item[K, V]], r Record[K, V]) {
	if !p.forwarding() {
		return
	}
	p.it.Record = r
	p.it.key.reset()
	p.forwarded(to(p.it))
}

// Child returns the child with the name that [Named], or the operator itself, gave it, to forward to it alone. It is asked
// for where the processor is created: a name that no child has is an error of Build.
func (p *ProcessorContext[K, V]) Child(name string) Child[K, V] {
	for i, n := range p.ends {
		if n.named && n.name == name {
			return Child[K, V]{p, p.children[i]}
		}
	}
	var names []string
	for _, n := range p.ends {
		if n.named {
			names = append(names, n.name)
		}
	}
	text := fmt.Sprintf("it forwards to %q, but no child has that name", name)
	if len(names) > 0 {
		text += "; there are " + strings.Join(names, ", ")
	} else {
		text += "; name one with topology.Named"
	}
	p.problem(errors.New(text))
	return Child[K, V]{}
}

// Child is one of the operators that follow a processor.
type Child[K, V any] struct {
	p       *ProcessorContext[K, V]
	receive receiver[item[K, V]]
}

// Forward sends r to this child alone, as [ProcessorContext.Forward] does to all.
func (c Child[K, V]) Forward(r Record[K, V]) { c.p.forward(c.receive, r) }

// ValuesContext is what a processor of [Stream.ProcessValues] has of its task; V is the type of the values that it forwards.
// It belongs to the goroutine of the task.
type ValuesContext[V any] struct {
	*scope

	forward func(*ValueRecord[V])
	out     ValueRecord[V] // what is forwarded
}

// ValueRecord is a [Record] without its key.
type ValueRecord[V any] struct {
	Value     V
	NullValue bool
	Timestamp int64
	Headers   []engine.Header
}

// Forward sends a value to all children, with key, timestamp and headers of the record that the processor was called for. It
// is otherwise like [ProcessorContext.Forward].
func (p *ValuesContext[V]) Forward(value V) {
	p.ForwardRecord(ValueRecord[V]{Value: value, Timestamp: p.timestamp, Headers: p.headers})
}

// ForwardRecord is Forward with another timestamp and other headers, or for a null value.
func (p *ValuesContext[V]) ForwardRecord(r ValueRecord[V]) {
	if p.forwarding() {
		p.out = r
		p.forward(&p.out)
	}
}

// Metadata says which input record a processor was called for.
type Metadata struct {
	Topic     string
	Partition int32
	Offset    int64
}

// ProcessorScope is a [ProcessorContext] or a [ValuesContext], whatever its types: what stores are opened in.
type ProcessorScope interface{ scopeOf() *scope }

// scope is a processor in a task.
type scope struct {
	h      *engine.Host
	n      *node
	create func() error // makes the processor

	creating  bool              // create runs
	running   bool              // a function of the processor runs
	opened    map[any]any       // what it uses: stores, tables
	advances  []advanceFunc     // of the stores that expire rows
	schedules int               // asked for since create began
	alarms    map[int]*schedule // all there were
	onClose   []func()
	problems  []error // mistakes of create
	failed    error   // of what it forwarded

	timestamp int64           // of the record
	headers   []engine.Header // of the record, for ValuesContext
}

// advanceFunc tells a store the timestamp of a record that reached a processor that uses it.
type advanceFunc func(timestamp int64) error

func newScope(h *engine.Host, n *node) *scope {
	sc := &scope{h: h, n: n, opened: make(map[any]any), alarms: make(map[int]*schedule)}
	h.AddRenewable(sc)
	return sc
}

func (s *scope) scopeOf() *scope { return s }

// Renew creates the processor, after the one there was is closed.
func (s *scope) Renew() {
	s.Close()
	s.creating, s.schedules, s.problems = true, 0, nil
	s.running, s.failed = false, nil
	err := s.created()
	s.creating = false
	if err != nil {
		s.problems = append(s.problems, err)
	}
	if s.schedules < len(s.alarms) {
		s.problems = append(s.problems, errors.New("it has fewer schedules than before: it must have the same whenever it is created"))
	}
}

func (s *scope) created() (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &engine.PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return s.create()
}

// problem notes a mistake of create; anywhere else it is a panic.
func (s *scope) problem(err error) {
	if !s.creating {
		panic(err)
	}
	s.problems = append(s.problems, err)
}

// Broken says why the processor could not be created, nil if it could.
func (s *scope) Broken() error {
	if err := errors.Join(s.problems...); err != nil {
		return fmt.Errorf("node %q: create the processor: %w", s.n.name, err)
	}
	return nil
}

// Close calls the functions of OnClose.
func (s *scope) Close() {
	for _, f := range s.onClose {
		f()
	}
	s.onClose = nil
}

// enter begins a call of the processor for a record.
func (s *scope) enter(timestamp int64) error {
	s.timestamp = timestamp
	for _, advance := range s.advances {
		if err := advance(timestamp); err != nil {
			return s.h.NodeError(s.n, err)
		}
	}
	s.call()
	return nil
}

// call begins a call of a function of the processor.
func (s *scope) call() {
	s.h.Enter(s.n)
	s.running, s.failed = true, nil
}

// leave ends it: it says what to make of the error that it returned.
func (s *scope) leave(err error) error {
	s.running = false
	if s.failed != nil {
		return s.failed
	}
	if failed := s.h.StateError(s.n); failed != nil {
		return failed
	}
	switch {
	case err == nil:
		return nil
	case s.h.Context().Err() != nil: // that is why
		return s.h.NodeError(s.n, err)
	}
	return s.h.RecordError(s.n, err)
}

// forwarding says whether to forward: not after a failure.
func (s *scope) forwarding() bool {
	if !s.running {
		panic(fmt.Sprintf("processor %q forwards while it is not called; only the processor itself and its schedules may forward, "+
			"on the goroutine that calls them", s.n.name))
	}
	return s.failed == nil
}

// forwarded notes what came of it.
func (s *scope) forwarded(err error) {
	s.failed = err
	s.h.Enter(s.n)
}

// Metadata returns where the input record is that led to this call. false means that there is none: a schedule called.
func (s *scope) Metadata() (m Metadata, ok bool) {
	topic, offset := s.h.Position()
	return Metadata{Topic: topic, Partition: s.h.Partition(), Offset: offset}, topic != ""
}

// Partition returns the number of the task: that of the partitions that it reads.
func (s *scope) Partition() int32 { return s.h.Partition() }

// StreamTime returns the largest timestamp that the task has read, in milliseconds, -1 before the first.
func (s *scope) StreamTime() int64 { return s.h.StreamTime() }

// WallClock returns the time, in milliseconds since the Unix epoch. It stands still while records are processed one after
// the other; unlike stream time it is another one when a record is processed again.
func (s *scope) WallClock() int64 { return s.h.WallClock() }

// RequestCommit asks the task to commit soon, which it does in its own time anyway.
func (s *scope) RequestCommit() { s.h.RequestCommit() }

// OnClose adds a function that is called when the processor is not used any more, to close what create has opened.
func (s *scope) OnClose(f func()) { s.onClose = append(s.onClose, f) }
