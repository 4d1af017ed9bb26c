package topology

import (
	"errors"
	"fmt"

	"github.com/seed84377926/millrace/topology/engine"
)

// Builder collects the operators of a topology. The operators report no errors: the builder remembers every mistake
// with the line of the user's code that made it, and Build returns them all. A Builder belongs to one goroutine.
type Builder struct {
	graph
	builderOptions

	top *Topology // once built
}

// NewBuilder returns an empty builder for the application app. The name becomes the first part of the names of groups
// and internal topics: lower-case letters, digits and hyphens. The options say what is done about records that fail,
// and whether time goes on while the input pauses.
func NewBuilder(app string, opts ...BuilderOption) *Builder {
	b := &Builder{app: app, names: make(map[string]*node), sources: make(map[string]*node)}
	if err := checkName(app); err != nil {
		b.errs = append(b.errs, fmt.Errorf("%s: builder: application %w", callSite(), err))
	}
	for _, opt := range opts {
		if opt == nil {
			b.errs = append(b.errs, fmt.Errorf("%s: builder: option is nil", callSite()))
			continue
		}
		if err := opt.applyBuilder(&b.builderOptions); err != nil {
			b.errs = append(b.errs, fmt.Errorf("%s: builder: %w", callSite(), err))
		}
	}
	return b
}

// Build returns the topology, or all mistakes joined in one error, in the order of the calls. Nothing can be added to
// the builder or its streams afterwards: later calls do not change the topology, but fail its NewTask and the next
// Build.
func (b *Builder) Build() (*Topology, error) {
	if b.late.begin() {
		b.build()
	}
	b.late.mu.Lock()
	defer b.late.mu.Unlock()
	if err := errors.Join(append(b.errs, b.late.errs...)...); err != nil {
		return nil, err
	}
	return b.top, nil
}

func (b *Builder) build() {
	if len(b.nodes) == 0 {
		b.errs = append(b.errs, fmt.Errorf("%s: build: the topology has no source; start with Source or TableOf", callSite()))
	}
	b.runTrials()
	if len(b.errs) == 0 {
		top, err := cut(&b.graph, b.builderOptions)
		b.top, b.errs = top, append(b.errs, err)
	}
}

// runTrials finds the mistakes of what is created once before the topology is made. Nothing is created if there are
// mistakes already.
func (b *Builder) runTrials() {
	err := engine.Trial("trial", func(h *engine.Host) {
		if len(b.errs) > 0 {
			return
		}
		for _, try := range b.trials {
			try(h)
		}
	})
	if len(b.errs) > 0 || err != nil {
		b.errs = append(b.errs, err)
		return
	}
	for _, check := range b.afterTrials {
		check()
	}
}
