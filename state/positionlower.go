package state

// Lower lowers the times of the position that are later than latest, in milliseconds, and reports whether there were
// any. Offsets stay as they are.
func (p *Position) Lower(latest int64) bool {
	later := p.StreamTime > latest
	p.StreamTime = min(p.StreamTime, latest)
	return later
}
