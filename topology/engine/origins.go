package engine

import (
	"math"
	"slices"
)

// IdleTime is how far an upstream task has come that has nothing to read: nobody waits for it.
const IdleTime = math.MaxInt64

// Origin names where input records of a task come from: an upstream task, or the external inputs of the task itself,
// which are merged by time and so are one origin.
type Origin struct {
	// Topic is the repartition topic; "" for the external inputs.
	Topic string
	// Partition is the partition of the upstream task.
	Partition int32
}

// Progress is how far an origin has come, in milliseconds. [UnknownTime] means that it is not known.
type Progress struct {
	Origin

	// Told is the stream time that the origin has told, [IdleTime] if it has told that it has nothing to read.
	Told int64
	// Seen is the largest timestamp of its records that the task has read.
	Seen int64
}

// Time returns how far the origin has come as far as the task knows.
func (p Progress) Time() int64 {
	if p.Told == IdleTime {
		return IdleTime
	}
	return max(p.Told, p.Seen)
}

// origins are the origins of a task's input records. The times are committed and rolled back with the task.
type origins struct {
	all                []Progress
	flushed, committed []Progress
	// first is the origin of each input: of an input that upstream tasks write to, the origin of the first of them. It
	// is -1 for an input that the task does not read.
	first []int
	tasks []int32 // that write to each input; 0 for an external one
	now   int     // the origin of what is processed, see several; -1: none, or not known
}

// add adds the origins of the next input.
func (o *origins) add(in *Input, writers func(topic string) int32) {
	n := int32(1)
	if writers != nil {
		n = writers(in.Topic)
	}
	switch {
	case n == 0:
		o.first, o.tasks = append(o.first, -1), append(o.tasks, 0)
	case in.Upstream:
		o.first, o.tasks = append(o.first, len(o.all)), append(o.tasks, n)
		for task := range n {
			o.all = append(o.all, Progress{Origin{in.Topic, task}, UnknownTime, UnknownTime})
		}
	default:
		direct := slices.IndexFunc(o.all, func(p Progress) bool { return p.Topic == "" })
		if direct < 0 {
			direct = len(o.all)
			o.all = append(o.all, Progress{Told: UnknownTime, Seen: UnknownTime})
		}
		o.first, o.tasks = append(o.first, direct), append(o.tasks, 0)
	}
}

// several says whether records come from more than one origin. If not, each clock is the largest timestamp of its
// records, and nobody asks where a record came from.
func (o *origins) several() bool { return len(o.all) > 1 }

// enter says that a record of an input is processed, which upstream task wrote it, and that the record has a time of
// its own: external inputs that were idle are so no longer.
func (o *origins) enter(input int, task int32) {
	switch n := o.tasks[input]; {
	case n == 0:
		o.now = o.first[input]
		if o.now >= 0 {
			o.all[o.now].Told = UnknownTime
		}
	case task >= 0 && task < n:
		o.now = o.first[input] + int(task)
	case len(o.all) == 1:
		o.now = 0
	default:
		o.now = -1
	}
}

// of returns the origins of the given inputs.
func (o *origins) of(inputs []int) []int {
	var all []int
	for _, in := range inputs {
		first := o.first[in]
		if first < 0 {
			continue
		}
		for i := range max(1, int(o.tasks[in])) {
			if !slices.Contains(all, first+i) {
				all = append(all, first+i)
			}
		}
	}
	slices.Sort(all)
	return all
}

// find returns the index of an origin, -1 if there is none.
func (o *origins) find(origin Origin) int {
	return slices.IndexFunc(o.all, func(p Progress) bool { return p.Origin == origin })
}

func (o *origins) flush()    { o.flushed = append(o.flushed[:0], o.all...) }
func (o *origins) commit()   { o.committed = append(o.committed[:0], o.flushed...) }
func (o *origins) rollback() { copy(o.all, o.committed) }

// begin sets the times as if they had been committed.
func (o *origins) begin() {
	o.committed = append(o.committed[:0], o.all...)
	o.now = -1
}
