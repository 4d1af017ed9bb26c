// Package fault lets the crash suite break the runtime at exact places. The runtime names the places ([Point]), and a
// test program installs what happens there ([Install]). Nothing is ever installed in a user's program: there is no
// environment variable, no build tag and no init, and until Install is called a Point costs one atomic load.
package fault

import "sync/atomic"

// Faults are the faults of a test program. Nil functions change nothing. The functions are called on many goroutines at
// once.
type Faults struct {
	// Point is called at each named place with its name. It may kill or stop the process.
	Point func(name string)
	// TransactionalID replaces the id with which an owner fences earlier owners. A new id fences nobody: that is the
	// negative control of the suite.
	TransactionalID func(id string) string
}

var installed atomic.Pointer[Faults] //nolint:gochecknoglobals // the places are all over the runtime, the switch must be one

// Install installs faults for the whole process; nil removes them.
func Install(f *Faults) { installed.Store(f) }

// Point names a place at which a test may break the process.
func Point(name string) {
	if f := installed.Load(); f != nil && f.Point != nil {
		f.Point(name)
	}
}

// TransactionalID returns id, unless a test has replaced it.
func TransactionalID(id string) string {
	if f := installed.Load(); f != nil && f.TransactionalID != nil {
		return f.TransactionalID(id)
	}
	return id
}
