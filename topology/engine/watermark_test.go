package engine

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/state"
)

type plainNode string

func (n plainNode) Name() string { return string(n) }

// timed is a task with one operator, whose clock remembers what it emitted.
type timed struct {
	*Task

	clock   *Clock
	emitted []int64
}

type noSink struct{}

func (noSink) Send(string, RawRecord) error { return nil }

func newTimed(t *testing.T, part state.Partition, upstream int32, inputs ...Input) *timed {
	t.Helper()
	made := &timed{}
	for i := range inputs {
		inputs[i].Open = func(h *Host) Reader {
			made.clock = Once(h, "clock", func() *Clock {
				return h.Clock(plainNode("n"), "n", ClockHooks{Emit: func(now int64) error {
					made.emitted = append(made.emitted, now)
					return nil
				}})
			})
			return Reader{Read: func(r *RawRecord) error {
				h.AdvanceStreamTime(r.Timestamp)
				made.clock.Advance(r.Timestamp)
				return nil
			}}
		}
	}
	writers := func(topic string) int32 {
		if topic == "up" {
			return upstream
		}
		return 1
	}
	var err error
	made.Task, err = NewTask(Program{Name: "s", Inputs: inputs}, TaskConfig{State: part, Sink: noSink{}, Writers: writers})
	require.NoError(t, err)
	t.Cleanup(made.Close)
	return made
}

func partition(t *testing.T) state.Partition {
	t.Helper()
	part, err := state.NewMemory().Open(0)
	require.NoError(t, err)
	return part
}

func (m *timed) commit(t *testing.T, part state.Partition) {
	t.Helper()
	var batch state.Batch
	require.NoError(t, m.Flush(&batch))
	require.NoError(t, part.Apply(&batch))
	m.Committed()
}

func up(task int32) Origin { return Origin{"up", task} }

func TestWatermark_theSlowestOriginHoldsTheClockBack(t *testing.T) {
	m := newTimed(t, partition(t), 2, Input{Topic: "up", Upstream: true}, Input{Topic: "direct"})
	record := func(input int, task int32, at int64) {
		require.NoError(t, m.Process(input, &RawRecord{Task: task, Timestamp: at}))
	}
	record(0, 0, 100)
	require.EqualValues(t, UnknownTime, m.clock.Now, "the others have not spoken")
	record(1, 0, 50)
	record(0, 1, 20)
	require.EqualValues(t, 20, m.clock.Now)
	require.EqualValues(t, 20, m.StreamTime())
	require.Equal(t, []Held{
		{Node: "", Now: 20, Largest: 100, By: Progress{up(1), UnknownTime, 20}},
		{Node: "n", Now: 20, Largest: 100, By: Progress{up(1), UnknownTime, 20}},
	}, m.Held(nil))

	require.NoError(t, m.Tell(up(1), 70))
	require.EqualValues(t, 50, m.clock.Now, "now the inputs of its own hold it back")
	require.Equal(t, []int64{50}, m.emitted)
	require.NoError(t, m.Tell(up(1), 60))
	require.EqualValues(t, 70, m.Progress(nil)[1].Time(), "time does not go back")
	require.NoError(t, m.Tell(Origin{}, IdleTime))
	require.EqualValues(t, 70, m.clock.Now)
	require.NoError(t, m.Tell(up(1), IdleTime))
	require.EqualValues(t, 100, m.clock.Now, "never beyond the largest timestamp")
	require.Equal(t, []int64{50, 70, 100}, m.emitted)
	require.Empty(t, m.Held(nil))

	record(0, 0, 200)
	require.EqualValues(t, 200, m.clock.Now, "idle origins are waited for no longer")
	record(1, 0, 150)
	record(0, 0, 300)
	require.EqualValues(t, 200, m.clock.Now, "it is idle no longer")
	require.NoError(t, m.Tell(up(7), 1000), "an origin of an earlier number of tasks")
	record(0, 7, 400)
	require.EqualValues(t, 200, m.clock.Now, "a record of an unknown origin advances nothing by itself")
	require.NoError(t, m.Tell(Origin{}, IdleTime))
	require.EqualValues(t, 300, m.clock.Now, "the first upstream task has come to 300")
}

func TestWatermark_theWatermarkOfInputs(t *testing.T) {
	m := newTimed(t, partition(t), 2, Input{Topic: "up", Upstream: true}, Input{Topic: "direct"})
	all := func(string) bool { return true }
	require.EqualValues(t, UnknownTime, m.Watermark(all))
	require.EqualValues(t, IdleTime, m.Watermark(func(string) bool { return false }), "nothing leads there")
	require.NoError(t, m.Process(1, &RawRecord{Timestamp: 50}))
	require.EqualValues(t, 50, m.Watermark(func(topic string) bool { return topic == "direct" }))
	require.NoError(t, m.Tell(up(0), 40))
	require.EqualValues(t, UnknownTime, m.Watermark(all))
	require.NoError(t, m.Tell(up(1), IdleTime))
	require.EqualValues(t, 40, m.Watermark(all))
}

// With one origin the clock is the largest timestamp, whoever is said to have written the records.
func TestWatermark_oneOriginIsTheLargestTimestamp(t *testing.T) {
	for _, task := range []int32{0, -1} {
		m := newTimed(t, partition(t), 1, Input{Topic: "up", Upstream: true})
		for _, at := range []int64{5, 3, 8} {
			require.NoError(t, m.Process(0, &RawRecord{Task: task, Timestamp: at}))
		}
		require.EqualValues(t, 8, m.clock.Now)
		require.EqualValues(t, 8, m.StreamTime())
		require.EqualValues(t, 8, m.Watermark(func(string) bool { return true }))
	}
}

// TestWatermark_model compares random runs, with commits, rollbacks and restarts, with the definition.
func TestWatermark_model(t *testing.T) {
	for seed := range uint64(200) {
		dice := rand.New(rand.NewPCG(seed, 7))
		n := 2 + dice.Int32N(4)
		part := partition(t)
		m := newTimed(t, part, n, Input{Topic: "up", Upstream: true})
		type model struct {
			came, told, seen []int64
			largest, now     int64
		}
		clone := func(o model) model {
			o.came, o.told, o.seen = append([]int64(nil), o.came...), append([]int64(nil), o.told...), append([]int64(nil), o.seen...)
			return o
		}
		want := model{largest: UnknownTime, now: UnknownTime}
		for range n {
			want.came, want.told, want.seen = append(want.came, UnknownTime), append(want.told, UnknownTime), append(want.seen, UnknownTime)
		}
		committed := clone(want)
		advance := func() {
			low := int64(IdleTime)
			for p := range n {
				time := want.told[p]
				if time != IdleTime {
					time = max(time, want.seen[p])
				}
				low = min(low, max(want.came[p], min(time, want.largest)))
			}
			want.now = max(want.now, low)
		}
		var progress []Progress
		streamTime := int64(UnknownTime)
		for range 60 {
			p, at := dice.Int32N(n), dice.Int64N(100)
			switch dice.IntN(8) {
			case 0, 1, 2, 3:
				require.NoError(t, m.Process(0, &RawRecord{Task: p, Timestamp: at}))
				if want.told[p] == IdleTime {
					want.told[p] = IdleTime // an upstream task takes it back itself
				}
				want.seen[p], want.came[p], want.largest = max(want.seen[p], at), max(want.came[p], at), max(want.largest, at)
				advance()
			case 4:
				if dice.IntN(3) == 0 {
					at = IdleTime
				}
				require.NoError(t, m.Tell(up(p), at))
				if at == IdleTime || want.told[p] == IdleTime {
					want.told[p] = at
				} else {
					want.told[p] = max(want.told[p], at)
				}
				advance()
			case 5:
				m.commit(t, part)
				progress, streamTime = m.Progress(progress[:0]), m.StreamTime()
				committed = clone(want)
			case 6:
				m.Rollback()
				want = clone(committed)
			case 7:
				m.Close()
				m = newTimed(t, part, n, Input{Topic: "up", Upstream: true})
				m.SetStreamTime(streamTime, progress)
				want = clone(committed)
			}
			require.Equal(t, want.now, m.clock.Now, "seed %d", seed)
		}
	}
}

func TestTimeCodec(t *testing.T) {
	var codec timeCodec
	for _, stored := range []storedTime{{now: UnknownTime}, {now: 5, came: []byte{1, 2}}} {
		data, err := codec.Append(nil, stored)
		require.NoError(t, err)
		back, err := codec.Decode(data)
		require.NoError(t, err)
		require.Equal(t, stored, back)
	}
	_, err := codec.Decode(make([]byte, 7))
	require.ErrorIs(t, err, errBadTime)
}

func FuzzDecodeCame(f *testing.F) {
	o := &origins{all: []Progress{{Origin: Origin{"a", 0}}, {Origin: Origin{"a", 3}}, {Origin: Origin{"b", 1}}}}
	w := newWatermark(o, []int{0, 1, 2})
	w.came, w.largest = []int64{5, UnknownTime, 7}, 9
	f.Add(w.encode())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		var all []string
		if _, err := decodeCame(data, func(p Origin, came int64) { all = append(all, fmt.Sprint(p, came)) }); err != nil {
			require.ErrorIs(t, err, errBadTime)
		}
	})
}

func TestWatermark_encoding(t *testing.T) {
	o := &origins{all: []Progress{{Origin: Origin{"a", 0}}, {Origin: Origin{"a", 3}}, {Origin: Origin{"b", 1}}}}
	w := newWatermark(o, []int{0, 1, 2})
	w.came, w.largest = []int64{5, UnknownTime, 7}, 9
	data := w.encode()
	require.Equal(t, []byte{18, 1, 'a', 1, 0, 10, 1, 'b', 1, 1, 14}, data, "the example of docs/formats.md")
	back := newWatermark(o, []int{0, 1, 2})
	require.NoError(t, back.decode(9, data))
	require.Equal(t, w.came, back.came)
	require.EqualValues(t, 9, back.largest)
	for n := 1; n < len(data); n++ {
		if n != 1 && n != 6 { // after the largest timestamp, after the first topic
			require.ErrorIs(t, back.decode(9, data[:n]), errBadTime, "the first %d bytes", n)
		}
	}
	require.NoError(t, back.decode(4, nil))
	require.EqualValues(t, 4, back.largest, "it had one origin")
}
