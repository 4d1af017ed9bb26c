package processors

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// unit is what a task processes in one go: records of its inputs, merged by timestamp.
type unit struct {
	records []unitRecord
}

type unitRecord struct {
	input  int
	record *kgo.Record
}

// hasRecords says whether the unit has anything but marks.
func (u *unit) hasRecords(plan *groupPlan) bool {
	return slices.ContainsFunc(u.records, func(r unitRecord) bool { return !plan.inputs[r.input].Repartition || !isMark(r.record) })
}

// maxUnit bounds the records a task hands to goka at once; slow tasks take fewer, see unitSize.
const maxUnit = 4096

// firstUnit is small, because the cost of the operators is not known yet.
const firstUnit = 64

// unitSize bounds the records of one unit, so that a task with slow operators still notices in time that a commit is
// due or that it must stop: nothing interrupts a unit. It outlives the lives of its task, since a unit that was so slow
// that its transaction timed out must not be as large in the next life.
type unitSize struct {
	limit  int
	target time.Duration // what a unit may take
}

// newUnitSize returns the unit size of a task that commits after each interval.
func newUnitSize(interval time.Duration) unitSize {
	return unitSize{limit: firstUnit, target: min(max(interval/4, time.Millisecond), 50*time.Millisecond)}
}

// record adapts the limit to a unit of n records that took d.
func (s *unitSize) record(n int, d time.Duration) {
	switch {
	case d > s.target:
		s.limit = max(1, int(int64(n)*int64(s.target)/int64(d)))
	case n >= s.limit && d < s.target/2:
		s.limit = min(2*s.limit, maxUnit)
	}
}

// unitLimit returns how many records the next unit may have.
func (l *life) unitLimit() int {
	limit := int(min(int64(l.unitSize.limit), l.inst.cfg.CommitRecords-l.uncommitted.records))
	if bisecting := l.faults.bisection.limit; bisecting > 0 {
		limit = min(limit, bisecting)
	}
	return limit
}
