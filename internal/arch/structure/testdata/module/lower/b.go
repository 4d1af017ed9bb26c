package lower

// B uses a.go.
const B = 1

var _ = A{}.used()

// Double is a method.
func (a A) Double() int { return 2 * a.field }
