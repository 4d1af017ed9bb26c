package engine

import (
	"fmt"
	"iter"
	"runtime/debug"

	"github.com/seed84377926/millrace/state"
)

// RecordError wraps an error that the record, or the punctuation, causes whenever it is processed.
func (h *Host) RecordError(n Node, err error) error {
	if h.punctuation != nil {
		return &PunctuationError{Punctuation: *h.punctuation, Failed: n.Name(), Err: err}
	}
	topic, offset := h.Position()
	return &RecordError{Node: n.Name(), Topic: topic, Partition: h.cfg.Partition, Offset: offset, Err: err}
}

// RouteError wraps an error of the topic that was chosen for a record.
func (h *Host) RouteError(n Node, to string, err error) error {
	if h.punctuation != nil {
		return h.RecordError(n, fmt.Errorf("output to topic %q: %w", to, err))
	}
	topic, offset := h.Position()
	return &RouteError{Node: n.Name(), Topic: topic, Partition: h.cfg.Partition, Offset: offset, To: to, Err: err}
}

// DecodeError wraps an error of the codec of a key or value; part says which.
func (h *Host) DecodeError(n Node, part string, err error) error {
	topic, offset := h.Position()
	return &DecodeError{Node: n.Name(), Topic: topic, Partition: h.cfg.Partition, Offset: offset, Part: part, Err: err}
}

// NodeError wraps an error that the record does not cause: an error of the state or the sink.
func (h *Host) NodeError(n Node, err error) error {
	if h.punctuation != nil {
		return fmt.Errorf("node %q: %v: %w", n.Name(), *h.punctuation, err)
	}
	topic, offset := h.Position()
	return fmt.Errorf("node %q: topic %q partition %d offset %d: %w", n.Name(), topic, h.cfg.Partition, offset, err)
}

// recovered turns a panic into an error that names the node and the record.
func (h *Host) recovered(err *error) {
	if v := recover(); v != nil {
		if failed := h.StateError(h.at); failed != nil {
			*err = failed
			return
		}
		*err = h.RecordError(h.at, &PanicError{Value: v, Stack: debug.Stack()})
	}
}

// StateFailed says that a function of the user could not read state. The record is not the cause, whatever the function
// returns.
func (h *Host) StateFailed(err error) { h.stateErr = err }

// StateError returns the error that StateFailed recorded, wrapped by NodeError, nil if none. It is returned once.
func (h *Host) StateError(n Node) error {
	if h.stateErr == nil {
		return nil
	}
	err := h.stateErr
	h.stateErr = nil
	return h.NodeError(n, err)
}

// WatchedState returns the committed state for stores that functions of the user read: failures go to StateFailed.
func (h *Host) WatchedState() state.Partition { return watched{h.cfg.State, h} }

type watched struct {
	state.Partition

	h *Host
}

// Get implements state.Partition.
func (w watched) Get(dst, key []byte) (value []byte, ok bool, err error) {
	if value, ok, err = w.Partition.Get(dst, key); err != nil {
		w.h.StateFailed(err)
	}
	return value, ok, err
}

// Scan implements state.Partition.
func (w watched) Scan(lo, hi []byte) iter.Seq2[state.Row, error] {
	return func(yield func(state.Row, error) bool) {
		for row, err := range w.Partition.Scan(lo, hi) {
			if err != nil {
				w.h.StateFailed(err)
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

// Enter says that n is about to run, which makes it the node of a panic.
func (h *Host) Enter(n Node) { h.at = n }

// At returns the node that entered last.
func (h *Host) At() Node { return h.at }
