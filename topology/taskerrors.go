package topology

import "fmt"

// recordError wraps an error that the record, or the punctuation, is to blame for.
func (t *Task) recordError(n *node, err error) error {
	if t.punctuation != nil {
		return &PunctuationError{Punctuation: *t.punctuation, Failed: n.name, Err: err}
	}
	topic, offset := t.position()
	return &RecordError{Node: n.name, Topic: topic, Partition: t.cfg.Partition, Offset: offset, Err: err}
}

func (t *Task) routeError(n *node, to string, err error) error {
	if t.punctuation != nil {
		return t.recordError(n, fmt.Errorf("output to topic %q: %w", to, err))
	}
	topic, offset := t.position()
	return &RouteError{Node: n.name, Topic: topic, Partition: t.cfg.Partition, Offset: offset, To: to, Err: err}
}

// nodeError wraps an error of the state or the sink.
func (t *Task) nodeError(n *node, err error) error {
	if t.punctuation != nil {
		return fmt.Errorf("node %q: %v: %w", n.name, *t.punctuation, err)
	}
	topic, offset := t.position()
	return fmt.Errorf("node %q: topic %q partition %d offset %d: %w", n.name, topic, t.cfg.Partition, offset, err)
}

// stateFailed returns the error of the state that a processor came across.
func (t *Task) stateFailed(n *node) error {
	err := t.stateErr
	t.stateErr = nil
	return t.nodeError(n, err)
}

func (t *Task) decodeError(n *node, part string, err error) error {
	topic, offset := t.position()
	return &DecodeError{Node: n.name, Topic: topic, Partition: t.cfg.Partition, Offset: offset, Part: part, Err: err}
}
