package engine

// Holder is a part that holds records back until the commit.
type Holder interface {
	// Release forwards what is held.
	Release() error
	// Forget forgets what is held.
	Forget()
	// HeldBytes estimates the memory of what is held.
	HeldBytes() int64
}

// Preparer is a part that may have work to do before the next record, on rows that are older than the part.
type Preparer interface {
	// Prepared reports whether nothing is left to do.
	Prepared() bool
	// Prepare works through at most limit more rows and returns how many.
	Prepare(limit int) (rows int, err error)
}

// Renewable is a part that keeps what a rollback cannot undo, such as the variables of a processor: after a rollback it
// is created again.
type Renewable interface {
	// Renew creates the part again.
	Renew()
	// Broken says why the part cannot work, nil if it can.
	Broken() error
	// Close ends the part when the task ends. It may be called again.
	Close()
}

// Alarm is something that a node does because time has passed, and not because of a record.
type Alarm struct {
	Node   Node
	Number int // among the alarms of the node, from 1
	// Due returns when it rings next, in milliseconds, and false if it does not.
	Due func() (at int64, ok bool)
	// Ring is called once that time has come. When it returns nil, Due returns a time later than now.
	Ring func(now int64) error
}

// Node is an operator, as far as a task must know it: by the name that errors, drops and punctuations carry.
type Node interface{ Name() string }

// Caller is a part that has calls run beside the task.
type Caller interface {
	// Reset forgets all calls: they were cancelled.
	Reset()
}
