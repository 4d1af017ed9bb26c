package state

import "sync/atomic"

// DefaultBudgetBytes is the limit of a budget without a limit of its own: 256 MiB.
const DefaultBudgetBytes = 256 << 20

// Budget is the memory that all stores of an instance share for their caches, in bytes. A store that needs room evicts
// its own clean rows. If it holds less than its share while others hold more, the others return some at their next
// commit. Dirty rows can't be evicted, so the runtime watches [Budget.CommitDue] and commits early.
//
// The limit is a target. Usage can exceed it for a while: stores account in small steps, each may always keep a small
// minimum, and dirty rows count in full.
//
// A Budget is safe for concurrent use.
type Budget struct {
	limit  int64
	used   atomic.Int64
	dirty  atomic.Int64
	stores atomic.Int64
	wanted atomic.Int64 // bytes that stores below their share had to evict, for stores above their share to return
}

// NewBudget returns a budget of the given number of bytes; 0 or less means [DefaultBudgetBytes].
func NewBudget(bytes int64) *Budget {
	if bytes <= 0 {
		bytes = DefaultBudgetBytes
	}
	return &Budget{limit: bytes}
}

// Limit returns the size of the budget, in bytes.
func (b *Budget) Limit() int64 { return b.limit }

// Used returns the bytes of cached rows, dirty rows included.
func (b *Budget) Used() int64 { return b.used.Load() }

// Dirty returns the bytes of dirty rows.
func (b *Budget) Dirty() int64 { return b.dirty.Load() }

// CommitDue reports whether dirty rows take more than a quarter of the budget, so that it is time to commit. During a
// commit each row is in memory three times: in the cache, in the batch and on the way to disk. With more dirty rows, a
// commit could need as much memory again as the budget.
func (b *Budget) CommitDue() bool { return b.dirty.Load() > b.limit/4 }

// share returns the bytes that each store may hold when together they want more than the limit.
func (b *Budget) share() int64 { return b.limit / max(1, b.stores.Load()) }

// account is one store's part of a Budget. It belongs to the goroutine of its store and publishes in steps, so that the
// hot path does not touch memory that other stores write.
type account struct {
	budget *Budget
	used   int64 // what this store holds
	dirty  int64

	publishedUsed  int64
	publishedDirty int64
	step           int64
}

const maxAccountStep = 16 << 10

func newAccount(b *Budget) account {
	b.stores.Add(1)
	return account{budget: b, step: min(maxAccountStep, b.limit/1024)}
}

func (a *account) addUsed(n int64) {
	a.used += n
	if d := a.used - a.publishedUsed; d > a.step || d < -a.step {
		a.publish()
	}
}

func (a *account) addDirty(n int64) {
	a.dirty += n
	if d := a.dirty - a.publishedDirty; d > a.step || d < -a.step {
		a.publish()
	}
}

func (a *account) publish() {
	a.budget.used.Add(a.used - a.publishedUsed)
	a.budget.dirty.Add(a.dirty - a.publishedDirty)
	a.publishedUsed, a.publishedDirty = a.used, a.dirty
}

// mustEvict returns how many bytes the store should evict before it uses n more.
func (a *account) mustEvict(n int64) int64 {
	over := a.budget.used.Load() + (a.used - a.publishedUsed) + n - a.budget.limit
	if over <= 0 {
		return 0
	}
	share := a.budget.share()
	if a.used+n < share {
		// Others hold more than their share. Until they return it, this store may use a quarter of its own share.
		if a.budget.wanted.Load() < share {
			a.budget.wanted.Add(n)
		}
		if a.used+n <= share/4 {
			return 0
		}
	}
	// Evicting everything at once would stall one insertion, so each evicts at most twice the bytes that it adds.
	return min(over, 2*n)
}

// giveBack returns how many bytes the store should evict for stores below their share.
func (a *account) giveBack() int64 {
	surplus := a.used - a.budget.share()
	if surplus <= 0 || a.budget.wanted.Load() <= 0 {
		return 0
	}
	wanted := a.budget.wanted.Swap(0)
	given := min(wanted, surplus)
	a.budget.wanted.Add(wanted - given)
	return given
}

// close returns all bytes to the budget.
func (a *account) close() {
	a.used, a.dirty = 0, 0
	a.publish()
	a.budget.stores.Add(-1)
}
