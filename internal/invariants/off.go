//go:build !invariants

package invariants

// Enabled says whether the program checks its invariants: it was built with the tag "invariants".
const Enabled = false

// Guard finds that two goroutines are at once in what belongs to one at a time. Without the tag it does nothing and
// takes no memory.
type Guard struct{}

// Enter begins a section. Without the tag it does nothing.
func (*Guard) Enter(string, string) {}

// Exit ends the section.
func (*Guard) Exit() {}

// Loan is a pair of slices that is lent to a borrower. Without the tag they are the lender's own.
type Loan struct{ Key, Value []byte }

// Lend returns a loan of the slices themselves.
func Lend(key, value []byte) Loan { return Loan{Key: key, Value: value} }

// End ends the loan. Without the tag it does nothing.
func (Loan) End(string) {}

// Poison fills memory with bytes that mean nothing. Without the tag it does nothing.
func Poison([]byte) {}
