package conformance_test

import (
	"strings"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
)

func globalPrograms() map[string]program {
	key := func(_, v string) (string, bool) {
		if strings.HasPrefix(v, "x") {
			return "", false
		}
		return strings.ToUpper(v[:1]), true
	}
	return map[string]program{
		"stream-global-inner": func(b *topology.Builder) {
			rows := topology.GlobalTableOf(b, "b", codecs.String, codecs.String, topology.Named("r"))
			out(source(b, "a").JoinGlobal(rows, key, joined))
		},
		"stream-global-left": func(b *topology.Builder) {
			rows := topology.GlobalTableOf(b, "b", codecs.String, codecs.String, topology.Named("r"))
			out(source(b, "a").LeftJoinGlobal(rows, key, func(v string, row *string) string {
				if row == nil {
					return joined(v, "null")
				}
				return joined(v, *row)
			}))
		},
	}
}
