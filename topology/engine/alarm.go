package engine

// Alarm is something that a node does because time has passed, and not because of a record.
type Alarm struct {
	Node   Node
	Number int // among the alarms of the node, from 1
	// Due returns when it rings next, in milliseconds, and false if it does not.
	Due func() (at int64, ok bool)
	// Ring is called once that time has come. When it returns nil, Due returns a time later than now.
	Ring func(now int64) error
}

// AddWallClockAlarm adds an alarm that rings by the wall clock, between records.
func (h *Host) AddWallClockAlarm(a *Alarm) { h.wallClockAlarms = append(h.wallClockAlarms, a) }

// AddStreamTimeAlarm adds an alarm that rings by the stream time of the task, after a record.
func (h *Host) AddStreamTimeAlarm(a *Alarm) { h.streamTimeAlarms = append(h.streamTimeAlarms, a) }

// WallClockDue returns when AdvanceWallClock has something to do next, in milliseconds since the Unix epoch, and false if
// nothing waits for the wall clock.
func (t *Task) WallClockDue() (at int64, ok bool) {
	next, at := nextAlarm(t.host.wallClockAlarms)
	return at, next != nil
}

// AdvanceWallClock tells the task the time, in milliseconds since the Unix epoch, and does what was to be done by then,
// each thing once however long it has been due. The owner calls it between records, at the latest when WallClockDue says so;
// what it sends belongs to the open transaction. A task reads no clock itself, so that a test decides what time it is.
//
// An error calls for a rollback, like one of Process; if it wraps a [*PunctuationError], the punctuation is its cause.
func (t *Task) AdvanceWallClock(now int64) error {
	h := &t.host
	if h.broken != nil {
		return h.broken
	}
	if err := h.prepareRest(); err != nil {
		return err
	}
	h.wallClock = now
	return h.ring(h.wallClockAlarms, now)
}

// ring lets the alarms ring that are due, in the order in which they are.
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
