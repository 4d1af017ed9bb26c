package topology

import (
	"errors"

	"github.com/seed84377926/millrace/topology/engine"
)

// processes makes n a node with a processor. Build calls try once, which creates the processor in a task that exists
// only for that, with empty stores. So Build finds out, before anything runs, which stores the processor uses and what
// is wrong with the processor.
func (n *node) processes(given bool, try func(h *engine.Host) *scope) {
	n.require(given, "function that creates the processor")
	n.graph.trials = append(n.graph.trials, func(h *engine.Host) { n.tried(try(h)) })
}

// tried remembers the mistakes of a processor that was created on trial.
func (n *node) tried(sc *scope) {
	for _, problem := range sc.problems {
		if failed, ok := errors.AsType[*engine.PanicError](problem); ok && failed.Value == (abandoned{}) {
			continue
		}
		n.graph.errorf(n, "create the processor: %w", problem)
	}
}
