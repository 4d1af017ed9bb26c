package state

// Lower lowers the times of the position that are later than latest, in milliseconds, those of the senders included,
// and reports whether there were any. Offsets stay as they are.
func (p *Position) Lower(latest int64) bool {
	later := false
	lower := func(at int64) int64 {
		if at <= latest || at == IdleTime {
			return at
		}
		later = true
		return latest
	}
	p.StreamTime, p.Largest, p.DirectSeen = lower(p.StreamTime), lower(p.Largest), lower(p.DirectSeen)
	for sender, mark := range p.Senders {
		mark.Time = lower(mark.Time)
		p.Senders[sender] = mark
	}
	return later
}
