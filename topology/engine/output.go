package engine

// Drop reports that n could not use a record, or a result, of the given timestamp.
func (h *Host) Drop(n Node, reason string, timestamp int64) { h.DropLate(n, reason, timestamp, 0) }

// DropLate reports that n could not use a record, or a result, of the given timestamp, because it came too late: the
// stream time of n had passed the last one at which n would have used it by late milliseconds.
func (h *Host) DropLate(n Node, reason string, timestamp, late int64) {
	topic, offset := h.Position()
	h.cfg.OnDrop(Drop{
		Node: n.Name(), Reason: reason, Topic: topic, Partition: h.cfg.Partition, Offset: offset, Timestamp: timestamp, Late: late,
	})
}

// Send hands an output record of n to the sink. The encodings of the record in the arena are kept.
func (h *Host) Send(n Node, topic string, r RawRecord) error {
	h.arena.kept = true
	if err := h.cfg.Sink.Send(topic, r); err != nil {
		return h.NodeError(n, err)
	}
	return nil
}
