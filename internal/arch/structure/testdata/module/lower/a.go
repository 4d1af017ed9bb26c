package lower

// A is used by b.go.
type A struct{ field int }

func (a A) used() int { return a.field + B }
