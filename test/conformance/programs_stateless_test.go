package conformance_test

import (
	"strings"

	"github.com/seed84377926/millrace/topology"
)

func statelessPrograms() map[string]program {
	return map[string]program{
		"filter-map": func(b *topology.Builder) {
			noX := func(_, value string) bool { return !strings.HasPrefix(value, "x") }
			out(source(b, "a").Filter(noX).MapValues(strings.ToUpper))
		},
	}
}
