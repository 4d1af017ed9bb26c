// Package invariants checks at run time what the essays of the other packages say must always hold.
//
// The checks are in the code that they are about, and in a program only if it is built with the tag "invariants":
//
//	go test -tags invariants ./...          as the targets test, race, test-kafka and conformance of the Makefile do
//	go run -tags invariants ./test/crash    as the target crash does
//
// Without the tag [Enabled] is the constant false, and the compiler removes a check together with its operands:
//
//	if invariants.Enabled && offset <= last {
//		invariants.Violated("I3", "the changelog offset goes back from %d to %d", last, offset)
//	}
//
// A check panics: a violation is a bug of millrace, and a process that goes on could make it a lasting one. So a check
// is only for what no input, no fault of the network or of a disk, and no misuse by an operator can bring about. Those
// are errors.
//
// There are four kinds of checks:
//
//   - [Violated] says that a condition does not hold.
//   - A [Guard] finds that two goroutines are at once in what belongs to one at a time.
//   - A [Loan] finds that a borrower changes what was lent, and makes what a borrower keeps beyond the loan useless.
//   - [Poison] makes memory useless that is about to be used again.
//
// Pebble has the same tag. In a program that is built with it pebble checks its own invariants as well. The race
// detector alone turns pebble's checks on, and not those of millrace: users build their programs with it, too.
//
// An invariant has a name that is explained where it belongs: I in ARCHITECTURE.md, for the runtime, ST in the essay of
// package state. To add a check, name the invariant there first, then add a test that violates it.
package invariants

import "fmt"

// Violated panics with the name of an invariant and how it is violated.
func Violated(name, format string, args ...any) {
	panic(fmt.Sprintf("invariant %s is violated: %s", name, fmt.Sprintf(format, args...)))
}
