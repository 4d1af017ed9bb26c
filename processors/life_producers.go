package processors

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/state"
)

// producers knows which upstream task wrote a record: each task has a producer of its own, and its marks are signed.
// Records of a producer that has not written a mark yet come from an unknown task; they hold no clock back, and advance
// none beyond what the marks say.
type producers struct {
	tasks map[producerOf]int32
	last  struct {
		producerOf
		task int32
	}
}

// producerOf is a producer that writes to a repartition topic.
type producerOf struct {
	topic string
	id    int64
}

// newProducers returns what the marks of a position tell.
func newProducers(position state.Position) producers {
	p := producers{tasks: make(map[producerOf]int32)}
	for sender, mark := range position.Senders {
		if mark.Producer >= 0 {
			p.tasks[producerOf{sender.Topic, mark.Producer}] = sender.Partition
		}
	}
	return p
}

// set says which producer an upstream task has now. The records of its old one have all been read.
func (p *producers) set(sender state.Sender, id int64) {
	if task, ok := p.tasks[producerOf{sender.Topic, id}]; ok && task == sender.Partition {
		return
	}
	for of, task := range p.tasks {
		if of.topic == sender.Topic && task == sender.Partition {
			delete(p.tasks, of)
		}
	}
	p.tasks[producerOf{sender.Topic, id}] = sender.Partition
	p.last.topic = ""
}

// task returns the upstream task that wrote a record, -1 if it is not known.
func (p *producers) task(rec *kgo.Record) int32 {
	if rec.ProducerID == p.last.id && rec.Topic == p.last.topic {
		return p.last.task
	}
	of := producerOf{rec.Topic, rec.ProducerID}
	task, ok := p.tasks[of]
	if !ok {
		task = -1
	}
	p.last.producerOf, p.last.task = of, task
	return task
}
