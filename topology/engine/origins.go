package engine

import (
	"slices"

	"github.com/seed84377926/millrace/state"
)

// IdleTime is the time of an upstream task that has nothing to read. No clock waits for it.
const IdleTime = state.IdleTime

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

	// Told is the stream time that an upstream task has told, [IdleTime] if it has nothing to read. Of the external
	// inputs it is IdleTime or unknown.
	Told int64
	// Seen is the largest timestamp of the external inputs that the task has read.
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
	// usable is how far each origin has come for the clocks. It lags behind while records of the origin may be on their
	// way within the task: they wait for calls, or are held back until the commit.
	usable []int64
	// first is the origin of each input: of an input that upstream tasks write to, the origin of the first of them. It
	// is -1 for an input that the task does not read.
	first []int
	tasks []int32 // that write to each input; 0 for an external one
	now   int     // the origin of the record that is read, if that is the external inputs; else -1
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
// records.
func (o *origins) several() bool { return len(o.all) > 1 }

// enter notes which input the record comes from that is read next. External inputs that were idle are no longer idle.
func (o *origins) enter(input int, deferred bool) {
	o.now = -1
	if o.tasks[input] > 0 || o.first[input] < 0 {
		return
	}
	o.now = o.first[input]
	if p := &o.all[o.now]; p.Told != UnknownTime {
		p.Told = UnknownTime
		o.update(o.now, deferred)
	}
}

// span returns the origins of an input: n of them, from first on.
func (o *origins) span(input int) (first, n int) {
	if o.first[input] < 0 {
		return 0, 0
	}
	return o.first[input], max(1, int(o.tasks[input]))
}

// of returns the origins of the given inputs, in order.
func (o *origins) of(inputs []int) []int {
	var all []int
	for _, in := range inputs {
		first, n := o.span(in)
		for i := range n {
			all = append(all, first+i)
		}
	}
	slices.Sort(all)
	return slices.Compact(all) // the external inputs share one
}

// find returns the index of an origin, -1 if there is none.
func (o *origins) find(origin Origin) int {
	return slices.IndexFunc(o.all, func(p Progress) bool { return p.Origin == origin })
}

func (o *origins) flush()  { o.flushed = append(o.flushed[:0], o.all...) }
func (o *origins) commit() { o.committed = append(o.committed[:0], o.flushed...) }
func (o *origins) rollback() {
	copy(o.all, o.committed)
	o.settle()
}

// update makes how far an origin has come usable, unless records are on their way.
func (o *origins) update(i int, deferred bool) {
	if !deferred {
		o.usable[i] = o.all[i].Time()
	}
}

// settle says that no record is on its way. It reports whether an origin has come to another time.
func (o *origins) settle() (news bool) {
	for i := range o.all {
		if at := o.all[i].Time(); at != o.usable[i] {
			o.usable[i], news = at, true
		}
	}
	return news
}

// begin sets the times as if they had been committed.
func (o *origins) begin() {
	o.committed = append(o.committed[:0], o.all...)
	o.usable = make([]int64, len(o.all))
	o.settle()
	o.now = -1
}
