package topology

import (
	"errors"
	"fmt"
	"strings"

	"github.com/seed84377926/millrace/topology/engine"
)

// ProcessorContext is what a processor of [Stream.Process] has of its task; K and V are the types of what it forwards.
// It belongs to the goroutine of the task.
type ProcessorContext[K, V any] struct {
	*scope

	all      receiver[item[K, V]]
	children []receiver[item[K, V]]
	ends     []*node // the children
	it       *item[K, V]
}

// Forward sends r to all children, which process it before the call returns. If one of them fails, the rest of what the
// processor does for its record has no effect, and the failure is the failure of the child.
func (p *ProcessorContext[K, V]) Forward(r Record[K, V]) { p.forward(p.all, r) }

func (p *ProcessorContext[K, V]) forward(to receiver[item[K, V]], r Record[K, V]) {
	if !p.forwarding(r.Timestamp) {
		return
	}
	p.it.Record = r
	p.it.key.reset()
	p.forwarded(to(p.it))
}

// Child returns the child with this name, which [Named] or the operator itself gave it, to forward to it alone. Call
// Child where the processor is created: a name that no child has is an error of Build.
func (p *ProcessorContext[K, V]) Child(name string) Child[K, V] {
	for i, n := range p.ends {
		if n.named && n.name == name {
			return Child[K, V]{p, p.children[i]}
		}
	}
	var names []string
	for _, n := range p.ends {
		if n.named {
			names = append(names, n.name)
		}
	}
	text := fmt.Sprintf("it forwards to %q, but no child has that name", name)
	if len(names) > 0 {
		text += "; there are " + strings.Join(names, ", ")
	} else {
		text += "; name one with topology.Named"
	}
	p.problem(errors.New(text))
	return Child[K, V]{}
}

// Child is one of the operators that follow a processor.
type Child[K, V any] struct {
	p       *ProcessorContext[K, V]
	receive receiver[item[K, V]]
}

// Forward sends r to this child alone, as [ProcessorContext.Forward] does to all.
func (c Child[K, V]) Forward(r Record[K, V]) { c.p.forward(c.receive, r) }

// ValuesContext is what a processor of [Stream.ProcessValues] has of its task; V is the type of the values that it
// forwards. It belongs to the goroutine of the task.
type ValuesContext[V any] struct {
	*scope

	forward func(*ValueRecord[V])
	out     ValueRecord[V] // what is forwarded
}

// ValueRecord is a [Record] without its key.
type ValueRecord[V any] struct {
	Value     V
	NullValue bool
	Timestamp int64
	Headers   []engine.Header
}

// Forward sends a value to all children, with key, timestamp and headers of the record that the processor was called
// for. It is otherwise like [ProcessorContext.Forward].
func (p *ValuesContext[V]) Forward(value V) {
	p.ForwardRecord(ValueRecord[V]{Value: value, Timestamp: p.timestamp, Headers: p.headers})
}

// ForwardRecord is Forward with another timestamp and other headers, or for a null value.
func (p *ValuesContext[V]) ForwardRecord(r ValueRecord[V]) {
	if p.forwarding(r.Timestamp) {
		p.out = r
		p.forward(&p.out)
	}
}
