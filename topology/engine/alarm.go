package engine

// ring lets the alarms that are due ring, in the order in which they are due.
func (h *Host) ring(alarms []*Alarm, now int64) error {
	for {
		a, at := nextAlarm(alarms)
		if a == nil || at > now {
			return nil
		}
		if err := h.ringOne(a, at, now); err != nil {
			return err
		}
	}
}

func (h *Host) ringOne(a *Alarm, at, now int64) (err error) {
	h.punctuation = &Punctuation{Node: a.Node.Name(), Number: a.Number, Due: at}
	defer func() { h.punctuation = nil }()
	h.at = a.Node
	h.arena.begin()
	defer h.recovered(&err)
	err = a.Ring(now)
	h.arena.end()
	return err
}

func nextAlarm(alarms []*Alarm) (next *Alarm, at int64) {
	for _, a := range alarms {
		if due, ok := a.Due(); ok && (next == nil || due < at) {
			next, at = a, due
		}
	}
	return next, at
}
