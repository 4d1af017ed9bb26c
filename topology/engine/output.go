package engine

// Drop reports that n could not use the record.
func (h *Host) Drop(n Node, reason string) {
	topic, offset := h.Position()
	h.cfg.OnDrop(Drop{Node: n.Name(), Reason: reason, Topic: topic, Partition: h.cfg.Partition, Offset: offset})
}

// Send hands an output record of n to the sink. The encodings of the record in the arena are kept.
func (h *Host) Send(n Node, topic string, r RawRecord) error {
	h.arena.kept = true
	if err := h.cfg.Sink.Send(topic, r); err != nil {
		return h.NodeError(n, err)
	}
	return nil
}
