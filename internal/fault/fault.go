// Package fault lets the crash suite break the runtime at exact places. The runtime names the places ([Point]); a test
// program says what happens there ([Install]). Nothing is ever installed in a program of a user: there is no
// environment variable, no build tag and no init, and until Install is called a Point costs one atomic load.
package fault

import "sync/atomic"

// Faults is what a test program wants to happen. Nil functions change nothing. They are called from many goroutines at
// once.
type Faults struct {
	// Point is called at each named place with its name. It may kill or stop the process.
	Point func(name string)
	// TransactionalID replaces the id with which an owner fences the owners before it. An id that nobody had before
	// fences nobody: the negative control.
	TransactionalID func(id string) string
}

var installed atomic.Pointer[Faults] //nolint:gochecknoglobals // the places are all over the runtime, the switch must be one

// Install makes faults happen from now on, in the whole process; nil ends them.
func Install(f *Faults) { installed.Store(f) }

// Point is a place at which a test may break the process.
func Point(name string) {
	if f := installed.Load(); f != nil && f.Point != nil {
		f.Point(name)
	}
}

// TransactionalID returns id, unless a test took the fence away.
func TransactionalID(id string) string {
	if f := installed.Load(); f != nil && f.TransactionalID != nil {
		return f.TransactionalID(id)
	}
	return id
}
