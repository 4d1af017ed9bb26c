package topology

import (
	"fmt"
	"time"
)

// AdvanceWhenIdle lets time go on when input does not. Operators that wait for stream time (suppress, results on close,
// unmatched results of joins, joins with grace, rows that expire) learn of time from records, their own and those of
// upstream tasks: when the input pauses, they keep what they hold. With this option, a task that has had no record for
// the given time advances the stream times of its operators as time passes, from where they were at the last record:
//
//	idle for      0 s      10 s     20 s     30 s        AdvanceWhenIdle(10 * time.Second)
//	records       12:00:00
//	stream time   12:00:00 │        12:00:20 12:00:30    at 10 s: 12:00:10
//
// Each time that the given time has passed again, the stream times advance by as much, until everything that was held
// can have come out. Then an idle application is silent again. A record that comes after the pause with a timestamp
// from before it may find its window closed: the option trades late records for results. It is off by default, as time
// in Kafka Streams depends on records alone. Whole milliseconds, more than 0.
//
// Time counts only if the task sees it pass while its inputs are read to their ends: not while brokers cannot be
// reached, records wait to be read, or a transaction that writes to an input is open, and not if the wall clock is set
// or the process or the machine stands still.
//
// The stream time of an operator that waits for an upstream task does not advance. Nor does the stream time of the
// task, which stream-time punctuations go by.
func AdvanceWhenIdle(after time.Duration) BuilderOption { return idleOption(after) }

type idleOption time.Duration

func (o idleOption) applyBuilder(to *builderOptions) error {
	d := time.Duration(o)
	if d <= 0 || d%time.Millisecond != 0 {
		return fmt.Errorf("AdvanceWhenIdle: %v; want a positive number of whole milliseconds", d)
	}
	to.idle = d.Milliseconds()
	return nil
}
