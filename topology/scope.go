package topology

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/seed84377926/millrace/topology/engine"
)

// Metadata says which input record a processor was called for.
type Metadata struct {
	Topic     string
	Partition int32
	Offset    int64
}

// ProcessorScope is a [ProcessorContext] or a [ValuesContext] of any types. Stores are opened in it.
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

// Renew closes the processor, if there is one, and creates it again.
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

// leave ends the call: it returns the error to report for the error that the function returned.
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

// forwarding says whether to forward a record of the given time, which ends with the first failure.
func (s *scope) forwarding(timestamp int64) bool {
	if !s.running {
		panic(fmt.Sprintf("processor %q forwards while it is not called; only the processor itself and its schedules may forward, "+
			"on the goroutine that calls them", s.n.name))
	}
	if s.failed == nil {
		s.failed = s.h.CheckMade(s.n, timestamp)
	}
	return s.failed == nil
}

// forwarded records how the forwarding ended.
func (s *scope) forwarded(err error) {
	s.failed = err
	s.h.Enter(s.n)
}

// Metadata returns the place of the input record that led to this call, and false if there is none because a schedule
// called.
func (s *scope) Metadata() (m Metadata, ok bool) {
	topic, offset := s.h.Position()
	return Metadata{Topic: topic, Partition: s.h.Partition(), Offset: offset}, topic != ""
}

// Partition returns the number of the task, which is the number of the partitions that it reads.
func (s *scope) Partition() int32 { return s.h.Partition() }

// StreamTime returns the stream time of the task, in milliseconds, -1 while it is not known.
func (s *scope) StreamTime() int64 { return s.h.StreamTime() }

// WallClock returns the time, in milliseconds since the Unix epoch. It stands still while records are processed one
// after the other. Unlike stream time, it differs when a record is processed again.
func (s *scope) WallClock() int64 { return s.h.WallClock() }

// RequestCommit asks the task to commit soon. The task commits at its interval anyway.
func (s *scope) RequestCommit() { s.h.RequestCommit() }

// OnClose adds a function that is called when the processor is not used any more, to close what create has opened.
func (s *scope) OnClose(f func()) { s.onClose = append(s.onClose, f) }

// schedule is one schedule of a processor.
type schedule struct {
	scope    *scope
	alarm    engine.Alarm
	interval int64
	f        func(ctx context.Context, now int64) error
	at       *engine.KeptTime // when it is due
}

// openIn returns what open returned when the processor was created first; open reports false if the processor is not
// connected with it.
func openIn[T any](sc *scope, key any, what string, open func() (T, bool)) T {
	if have, ok := sc.opened[key].(T); ok {
		return have
	}
	if !sc.creating {
		panic(fmt.Sprintf("processor %q opens %s while records are processed; open it where the processor is created", sc.n.name, what))
	}
	if sc.h.Wiring() {
		if made, ok := open(); ok {
			sc.opened[key] = made
			return made
		}
	}
	if !sc.h.Trial() {
		panic(fmt.Sprintf("%s was not opened when the topology was built; a processor must open the same whenever it is created", what))
	}
	panic(abandoned{})
}

// abandoned is the panic that ends create on trial when it cannot go on. The mistake has been recorded by then.
type abandoned struct{}
