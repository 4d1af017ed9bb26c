package topology

import "slices"

// walk returns everything that can be reached: the elements it starts from, and all that next leads to from there, each
// once and the nearest first.
func walk[T comparable](from []T, next func(at T) []T) []T {
	var all []T
	seen := make(map[T]bool)
	for ahead := slices.Clone(from); len(ahead) > 0; {
		at := ahead[0]
		ahead = ahead[1:]
		if seen[at] {
			continue
		}
		seen[at] = true
		all = append(all, at)
		ahead = append(ahead, next(at)...)
	}
	return all
}
