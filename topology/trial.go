package topology

import (
	"errors"

	"github.com/seed84377926/millrace/topology/engine"
)

// tryProcessors creates every processor once, in a task with empty stores that exists for that only. It finds out which
// stores each uses, and what is wrong with it before anything runs.
func (b *Builder) tryProcessors() {
	err := engine.Trial("trial", func(h *engine.Host) {
		if len(b.errs) > 0 {
			return
		}
		for _, n := range b.nodes {
			if n.try != nil {
				b.tried(n, n.try(h))
			}
		}
	})
	if len(b.errs) > 0 || err != nil {
		b.errs = append(b.errs, err)
		return
	}
	for _, decl := range b.declared {
		if len(decl.info.users) == 0 {
			b.errorf(decl.node, "no processor uses the store; open it with Store.In, or remove it")
		}
	}
}

// tried remembers the mistakes of a processor that was created on trial.
func (b *Builder) tried(n *node, sc *scope) {
	for _, problem := range sc.problems {
		if failed, ok := errors.AsType[*engine.PanicError](problem); ok && failed.Value == (abandoned{}) {
			continue
		}
		b.errorf(n, "create the processor: %w", problem)
	}
}
