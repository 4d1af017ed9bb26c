package topology

import "github.com/seed84377926/millrace/topology/engine"

// emitter forwards the records that a function of the user emits, until the first failure. A node has one emitter in a
// task, for all its records, so that none of them costs an allocation.
type emitter[M any] struct {
	h    *engine.Host
	node *node
	next receiver[M]
	err  error
	open bool // the user's function is running
}

// begin says that the function of the user is about to be called.
func (e *emitter[M]) begin() {
	e.h.Enter(e.node)
	e.err, e.open = nil, true
}

// end says that the function has returned, and returns the first failure downstream.
func (e *emitter[M]) end() error {
	e.open = false
	return e.err
}

// forward hands on m.
func (e *emitter[M]) forward(m *M) {
	if !e.open {
		panic("topology: emit called after the function that it was given to had returned")
	}
	if e.err == nil {
		e.err = e.next(m)
	}
	e.h.Enter(e.node) // the user's function goes on
}

// fail ends the record with err.
func (e *emitter[M]) fail(err error) {
	if e.err == nil {
		e.err = err
	}
}
