package topology

import (
	"iter"

	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology/engine"
)

// finals forwards the results of closed windows.
type finals[K, A any] struct {
	h *engine.Host
	n *node
	// done is the end of the last windows that were forwarded. It is kept in the state: wherever the task continues,
	// every result comes out exactly once.
	done *engine.KeptTime
	// closed returns the last end of windows that are closed at stream time now.
	closed func(now int64) int64
	reach  int64 // from a record to the time at which all its windows are closed
	ended  func(after, last int64) iter.Seq2[state.WindowEntry[K, A], error]
	// lost reports whether Kafka Streams would have lost a window. May be nil.
	lost    func(w state.Window) bool
	next    receiver[change[K, A]]
	change  change[K, A]
	key     encodedKey
	headers []engine.Header // of the record that moved stream time
}

// newFinals returns the finals that forward results when stream time advances, with or without a record.
func newFinals[K, A any](f finals[K, A], clock *engine.Clock) *finals[K, A] {
	f.done = f.h.StoredTime(clock.Name() + "/emitted")
	clock.Emit, clock.Node, clock.Reach = f.emit, f.n, f.reach
	return &f
}

// record calls emit with the stream time of a record. The results get the headers of this record. It does nothing if f
// is nil.
func (f *finals[K, A]) record(now int64, headers []engine.Header) error {
	if f == nil {
		return nil
	}
	f.headers = headers
	err := f.emit(now)
	f.headers = nil
	return err
}

func (f *finals[K, A]) emit(now int64) error {
	if last := f.closed(now); last > f.done.Now {
		return f.forward(last)
	}
	return nil
}

// forward forwards the results of windows that end at last or before.
func (f *finals[K, A]) forward(last int64) error {
	for e, err := range f.ended(f.done.Now, last) {
		if err != nil {
			return f.h.NodeError(f.n, err)
		}
		if f.lost != nil && f.lost(e.Window) {
			f.h.DropLate(f.n, DropExpiredWindow, e.Timestamp, last-e.Window.End+1)
			continue
		}
		f.key.reset()
		f.change = change[K, A]{
			Key: e.Key, Window: e.Window, New: e.Value, HasNew: true, Timestamp: e.Timestamp, Headers: f.headers, key: &f.key,
		}
		if err := f.next(&f.change); err != nil {
			return err
		}
	}
	f.done.Advance(last)
	return nil
}
