package state

// Charged returns what the store has charged to its budget, and what it should have.
func (s *Windowed[K, V]) Charged() (got, want int64) { return s.recent.charged() }

// Charged returns what the store has charged to its budget, and what it should have.
func (s *Sessions[K, V]) Charged() (got, want int64) { return s.recent.charged() }

func (x *recentRows[V]) charged() (got, want int64) {
	for _, r := range x.rows.ring {
		want += r.cost
	}
	for _, run := range x.runs {
		want += keyRunOverhead + int64(len(run.key)) + rowInRun*int64(len(run.rows))
	}
	return x.rows.account.used, want
}
