package topology

import (
	"context"
	"errors"
	"iter"

	"github.com/seed84377926/millrace/state"
)

// tryProcessors creates every processor once, in a task with empty stores that exists for that only. It finds out which
// stores each uses, and what is wrong with it before anything runs.
func (b *Builder) tryProcessors() {
	part, err := state.NewMemory().Open(0)
	if err != nil {
		b.errs = append(b.errs, err)
		return
	}
	t := &Task{
		sub:  &SubTopology{name: "trial"},
		cfg:  TaskConfig{State: part, Context: context.Background(), Globals: emptyGlobals}.withDefaults(),
		time: newClock(), trial: true, wired: make(map[any]any),
	}
	defer t.Close()
	sound := len(b.errs) == 0
	for _, n := range b.nodes {
		if n.try == nil || !sound {
			continue
		}
		sc := n.try(t)
		for _, problem := range sc.problems {
			if failed, ok := errors.AsType[*PanicError](problem); ok && failed.Value == (abandoned{}) {
				continue
			}
			b.errorf(n, "create the processor: %w", problem)
		}
	}
	if len(b.errs) > 0 || len(t.errs) > 0 {
		b.errs = append(b.errs, t.errs...)
		return
	}
	for _, decl := range b.declared {
		if len(decl.info.users) == 0 {
			b.errorf(decl.node, "no processor uses the store; open it with Store.In, or remove it")
		}
	}
}

// noRows is an empty global table.
type noRows struct{}

func emptyGlobals(string) GlobalRows { return noRows{} }

func (noRows) Get(dst, _ []byte) ([]byte, bool, error) { return dst, false, nil }
func (noRows) Version() uint64                         { return 0 }

// watched is the committed state as processors see it. It notes that a read failed: the record is not to blame for that,
// whatever the processor makes of the error.
type watched struct {
	state.Partition

	t *Task
}

func (t *Task) watched() state.Partition { return watched{t.cfg.State, t} }

// Get implements state.Partition.
func (w watched) Get(dst, key []byte) (value []byte, ok bool, err error) {
	if value, ok, err = w.Partition.Get(dst, key); err != nil {
		w.t.stateErr = err
	}
	return value, ok, err
}

// Scan implements state.Partition.
func (w watched) Scan(lo, hi []byte) iter.Seq2[state.Row, error] {
	return func(yield func(state.Row, error) bool) {
		for row, err := range w.Partition.Scan(lo, hi) {
			if err != nil {
				w.t.stateErr = err
			}
			if !yield(row, err) {
				return
			}
		}
	}
}
