package engine

import (
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
	record := func(input int, at int64) { require.NoError(t, m.Process(input, &RawRecord{Timestamp: at})) }
	record(0, 100)
	require.EqualValues(t, UnknownTime, m.clock.Now, "the others have not spoken")
	record(1, 50)
	require.NoError(t, m.Tell(up(0), 110))
	require.EqualValues(t, UnknownTime, m.clock.Now)
	require.NoError(t, m.Tell(up(1), 20))
	require.EqualValues(t, 20, m.clock.Now)
	require.EqualValues(t, 20, m.StreamTime())
	require.EqualValues(t, 100, m.LargestTime())
	require.Equal(t, []Held{
		{Node: "", Now: 20, Largest: 100, By: Progress{up(1), 20, UnknownTime}},
		{Node: "n", Now: 20, Largest: 100, By: Progress{up(1), 20, UnknownTime}},
	}, m.Held(nil))

	require.NoError(t, m.Tell(up(1), 70))
	require.EqualValues(t, 50, m.clock.Now, "now the inputs of its own hold it back")
	require.NoError(t, m.Tell(up(1), 60))
	require.EqualValues(t, 70, m.Progress(nil)[1].Time(), "time does not go back")
	require.NoError(t, m.Tell(Origin{}, IdleTime))
	require.EqualValues(t, 70, m.clock.Now)
	require.NoError(t, m.Tell(up(1), IdleTime))
	require.EqualValues(t, 100, m.clock.Now, "never beyond the largest timestamp")
	require.Equal(t, []int64{20, 50, 70, 100}, m.emitted)
	require.Empty(t, m.Held(nil))

	require.NoError(t, m.Tell(up(0), IdleTime))
	record(0, 200)
	require.EqualValues(t, 200, m.clock.Now, "idle origins are waited for no longer")
	record(1, 150)
	record(0, 300)
	require.EqualValues(t, 200, m.clock.Now, "the inputs of its own are idle no longer")
	require.NoError(t, m.Tell(up(7), 1000), "an origin of an earlier number of tasks")
	require.EqualValues(t, 200, m.clock.Now)
	require.NoError(t, m.Tell(up(0), 250))
	require.NoError(t, m.Tell(Origin{}, IdleTime))
	require.EqualValues(t, 250, m.clock.Now)
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

// What an operator holds back comes out with older timestamps, however far the inputs have come.
func TestWatermark_timeForAnOutput(t *testing.T) {
	m := newTimed(t, partition(t), 1, Input{Topic: "direct"})
	m.host.behind = map[string][]Behind{"out": {{Node: plainNode("n"), By: 10}}}
	all := func(string) bool { return true }
	require.EqualValues(t, UnknownTime, m.TimeFor("out", all))
	require.NoError(t, m.Process(0, &RawRecord{Timestamp: 50}))
	require.EqualValues(t, 40, m.TimeFor("out", all))
	m.host.AdvanceStreamTime(90) // a record that does not reach the operator
	require.EqualValues(t, 40, m.TimeFor("out", all), "the record at 50 may be held")
	require.EqualValues(t, 90, m.TimeFor("another", all))
	m.clock.follow(60)
	require.EqualValues(t, 80, m.TimeFor("out", all), "nothing is held any more")
	require.NoError(t, m.Tell(Origin{}, IdleTime))
	require.EqualValues(t, IdleTime, m.TimeFor("out", all))
}

// With one origin the clock is the largest timestamp.
func TestWatermark_oneOriginIsTheLargestTimestamp(t *testing.T) {
	m := newTimed(t, partition(t), 1, Input{Topic: "up", Upstream: true})
	for _, at := range []int64{5, 3, 8} {
		require.NoError(t, m.Process(0, &RawRecord{Timestamp: at}))
	}
	require.EqualValues(t, 8, m.clock.Now)
	require.EqualValues(t, 8, m.StreamTime())
	require.EqualValues(t, 8, m.LargestTime())
}

// TestWatermark_model compares random runs, with commits, rollbacks and restarts, with the definition.
func TestWatermark_model(t *testing.T) {
	for seed := range uint64(200) {
		dice := rand.New(rand.NewPCG(seed, 7))
		n := 2 + dice.Int32N(4)
		part := partition(t)
		m := newTimed(t, part, n, Input{Topic: "up", Upstream: true})
		type model struct {
			told         []int64
			largest, now int64
		}
		clone := func(o model) model {
			o.told = append([]int64(nil), o.told...)
			return o
		}
		want := model{largest: UnknownTime, now: UnknownTime}
		for range n {
			want.told = append(want.told, UnknownTime)
		}
		committed := clone(want)
		advance := func() {
			low := want.largest
			for _, at := range want.told {
				low = min(low, at)
			}
			want.now = max(want.now, low)
		}
		var progress []Progress
		streamTime, largest := int64(UnknownTime), int64(UnknownTime)
		for range 60 {
			p, at := dice.Int32N(n), dice.Int64N(100)
			switch dice.IntN(8) {
			case 0, 1, 2, 3:
				require.NoError(t, m.Process(0, &RawRecord{Timestamp: at}))
				want.largest = max(want.largest, at)
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
				progress, streamTime, largest = m.Progress(progress[:0]), m.StreamTime(), m.LargestTime()
				committed = clone(want)
			case 6:
				m.Rollback()
				want = clone(committed)
			case 7:
				m.Close()
				m = newTimed(t, part, n, Input{Topic: "up", Upstream: true})
				m.SetStreamTime(streamTime, largest, progress)
				want = clone(committed)
			}
			require.Equal(t, want.now, m.clock.Now, "seed %d", seed)
			require.Equal(t, want.now, m.StreamTime(), "seed %d", seed)
		}
	}
}

func TestTimeCodec(t *testing.T) {
	var codec timeCodec
	for _, stored := range []storedTime{{now: UnknownTime, largest: UnknownTime}, {now: 5, largest: 5}, {now: 5, largest: 9}} {
		data, err := codec.Append(nil, stored)
		require.NoError(t, err)
		back, err := codec.Decode(data)
		require.NoError(t, err)
		require.Equal(t, stored, back)
	}
	data, err := codec.Append(nil, storedTime{now: 2, largest: 9})
	require.NoError(t, err)
	require.Equal(t, []byte{0x80, 0, 0, 0, 0, 0, 0, 2, 18}, data, "the example of docs/formats.md")
	for _, bad := range [][]byte{data[:7], append(data, 0), {0x80, 0, 0, 0, 0, 0, 0, 2, 4}, {0x80, 0, 0, 0, 0, 0, 0, 2, 0xff}} {
		_, err := codec.Decode(bad)
		require.ErrorIs(t, err, errBadTime)
	}
}
