//go:build invariants

package invariants

import (
	"bytes"
	"sync/atomic"
)

// Enabled says whether the program checks its invariants: it was built with the tag "invariants".
const Enabled = true

// Guard finds that two goroutines are at once in what belongs to one at a time. The zero value is ready. It knows no
// goroutine: one that enters twice is found as well, so a guarded section must not call another one of the same guard.
type Guard struct{ inside atomic.Bool }

// Enter begins a section and panics if another one is under way. name is the invariant, and what says what is guarded.
func (g *Guard) Enter(name, what string) {
	if !g.inside.CompareAndSwap(false, true) {
		Violated(name, "%s is used by two goroutines at once", what)
	}
}

// Exit ends the section.
func (g *Guard) Exit() { g.inside.Store(false) }

// Loan is a pair of slices that is lent to a borrower, who must not change them, nor keep them when the loan ends.
type Loan struct{ Key, Value, key, value []byte }

// Lend returns a loan of copies of the slices. A copy of nil is nil.
func Lend(key, value []byte) Loan {
	return Loan{Key: bytes.Clone(key), Value: bytes.Clone(value), key: key, value: value}
}

// End ends the loan. It panics with the name of the invariant if the borrower changed the slices, and fills them with
// bytes that mean nothing.
func (l Loan) End(name string) {
	if !bytes.Equal(l.Key, l.key) || !bytes.Equal(l.Value, l.value) {
		Violated(name, "the borrower of row %q has changed its key or value", l.key)
	}
	Poison(l.Key)
	Poison(l.Value)
}

// poison is what memory is filled with that no code may read any more. A key, a value or a number made of it is
// noticed.
const poison = 0xDB

// Poison fills memory with bytes that mean nothing.
func Poison(memory []byte) {
	for i := range memory {
		memory[i] = poison
	}
}
