package topology

// alarm is something that a node does because time has passed, and not because of a record.
type alarm struct {
	node   *node
	number int // among the alarms of the node, from 1
	// due returns when it rings next, in milliseconds, and false if it does not.
	due func() (at int64, ok bool)
	// ring is called once that time has come. When it returns nil, due is later than now.
	ring func(now int64) error
}

// WallClockDue returns when AdvanceWallClock has something to do next, in milliseconds since the Unix epoch, and false if
// nothing waits for the wall clock.
func (t *Task) WallClockDue() (at int64, ok bool) {
	next, at := nextAlarm(t.alarms)
	return at, next != nil
}

// AdvanceWallClock tells the task the time, in milliseconds since the Unix epoch, and does what was to be done by then,
// each thing once however long it has been due. The owner calls it between records, at the latest when WallClockDue says so;
// what it sends belongs to the open transaction. A task reads no clock itself, so that a test decides what time it is.
//
// An error calls for a rollback, like one of Process; if it wraps a [*PunctuationError], what was to be done is to blame.
func (t *Task) AdvanceWallClock(now int64) error {
	if t.broken != nil {
		return t.broken
	}
	if err := t.buildRest(); err != nil {
		return err
	}
	t.wall = now
	return t.ring(t.alarms, now)
}

// ring lets the alarms ring that are due, in the order in which they are.
func (t *Task) ring(alarms []*alarm, now int64) error {
	for {
		a, at := nextAlarm(alarms)
		if a == nil || at > now {
			return nil
		}
		if err := t.ringOne(a, at, now); err != nil {
			return err
		}
	}
}

func (t *Task) ringOne(a *alarm, at, now int64) (err error) {
	t.punctuation = &Punctuation{Node: a.node.name, Number: a.number, Due: at}
	defer func() { t.punctuation = nil }()
	t.at = a.node
	t.arena.begin()
	defer t.recovered(&err)
	err = a.ring(now)
	t.arena.end()
	return err
}

func nextAlarm(alarms []*alarm) (next *alarm, at int64) {
	for _, a := range alarms {
		if due, ok := a.due(); ok && (next == nil || due < at) {
			next, at = a, due
		}
	}
	return next, at
}
