package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
)

type (
	textRecord    = topology.Record[string, string]
	textProcessor = topology.Processor[string, string]
	textContext   = *topology.ProcessorContext[string, string]
)

// processed is a topology of one processor.
func (s *site) processed(
	t *testing.T, define func(b *topology.Builder, lines topology.Stream[string, string]) topology.Stream[string, string], opts ...topology.BuilderOption,
) *topology.Topology {
	t.Helper()
	b := topology.NewBuilder(s.app, opts...)
	lines := topology.Source(b, s.in, codecs.String, codecs.String)
	define(b, lines).To(s.out, codecs.String, codecs.String)
	top, err := b.Build()
	require.NoError(t, err)
	return top
}

// numbering numbers its records and ticks through, in one sequence that is in its store: no number may be missing or
// appear twice, whatever happens. It is the processor "counts", so that the group has its usual name.
func numbering(every time.Duration, fail func(r *textRecord) error) func(b *topology.Builder, lines topology.Stream[string, string]) topology.Stream[string, string] {
	return func(b *topology.Builder, lines topology.Stream[string, string]) topology.Stream[string, string] {
		numbers := topology.KeyValueStore(b, "numbers", codecs.String, codecs.Int64)
		return lines.Process("counts", func(p textContext) (textProcessor, error) {
			store := numbers.In(p)
			next := func(r textRecord) error {
				n, _, _, err := store.Get("n")
				if err != nil {
					return err
				}
				r.Value = fmt.Sprintf("%d %s", n, r.Value)
				p.Forward(r)
				return store.Put("n", n+1, r.Timestamp)
			}
			p.Schedule(every, topology.WallClock, func(_ context.Context, now int64) error {
				return next(textRecord{Key: "tick", Value: "tick", Timestamp: now})
			})
			return func(_ context.Context, r textRecord) error {
				if err := next(r); err != nil {
					return err
				}
				return fail(&r)
			}, nil
		})
	}
}

func neverFails(*textRecord) error { return nil }

// requireNumbered compares the outputs with the sequence, and returns the number of ticks and the other outputs.
func (s *site) requireNumbered(t *testing.T) (ticks int, others []string) {
	t.Helper()
	for i, v := range s.values(t, s.out) {
		number, what, _ := strings.Cut(v, " ")
		require.Equal(t, strconv.Itoa(i), number, "output %d", i)
		if what == "tick" {
			ticks++
		} else {
			others = append(others, what)
		}
	}
	return ticks, others
}

func (s *site) ticks(t *testing.T) int {
	t.Helper()
	n := 0
	for _, v := range s.values(t, s.out) {
		if strings.HasSuffix(v, " tick") {
			n++
		}
	}
	return n
}

// The wall clock makes an application work without any input, and its work counts once, through restarts.
func TestProcessor_wallClockWithoutInput(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	top := s.processed(t, numbering(20*time.Millisecond, neverFails))
	before := 0
	for range 3 {
		_, stop := s.start(t, top, s.config(t))
		require.Eventually(t, func() bool { return s.ticks(t) > before+3 }, waitLong, tick, "log:\n%s", s.log)
		stop()
		before, _ = s.requireNumbered(t)
	}
}

// Ticks, records, and failures that roll the task back to the last commit, in place and by restarts.
func TestProcessor_wallClockIsExactThroughFailures(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	tries := make(map[string]int) // touched by the task
	flaky := func(r *textRecord) error {
		if tries[r.Value]++; strings.HasSuffix(r.Value, "7") && tries[r.Value] <= 2 {
			return errors.New("not yet")
		}
		return nil
	}
	top := s.processed(t, numbering(5*time.Millisecond, flaky))
	var sent []string
	for round := range 3 {
		var values []string
		for i := range 60 {
			values = append(values, fmt.Sprint("v", round*60+i))
		}
		sent = append(sent, values...)
		_, stop := s.start(t, top, s.config(t))
		for _, v := range values {
			s.send(t, v)
		}
		s.await(t, int64(len(sent)))
		stop()
	}
	ticks, others := s.requireNumbered(t)
	require.Positive(t, ticks)
	require.Equal(t, sent, others)
	require.Positive(t, s.mu.failures)
}

// A punctuation that changes nothing and sends nothing commits nothing: an idle application is silent.
func TestProcessor_anIdleScheduleCommitsNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	called := make(chan struct{}, 100)
	top := s.processed(t, func(b *topology.Builder, lines topology.Stream[string, string]) topology.Stream[string, string] {
		numbers := topology.KeyValueStore(b, "numbers", codecs.String, codecs.Int64)
		return lines.Process("counts", func(p textContext) (textProcessor, error) {
			store := numbers.In(p)
			p.Schedule(10*time.Millisecond, topology.WallClock, func(context.Context, int64) error {
				select {
				case called <- struct{}{}:
				default:
				}
				_, _, _, err := store.Get("n")
				return err
			})
			return func(context.Context, textRecord) error { return nil }, nil
		})
	})
	app, stop := s.start(t, top, s.config(t))
	for range 30 { // three commit intervals
		<-called
	}
	require.Zero(t, app.Info(t.Context()).Groups[0].Tasks[0].Commits)
	stop()
	require.Empty(t, s.read(t, s.table()))
}

// failingTicks fails in the first calls of its schedule.
func failingTicks(failures int, calls *atomic.Int64) func(b *topology.Builder, lines topology.Stream[string, string]) topology.Stream[string, string] {
	return func(_ *topology.Builder, lines topology.Stream[string, string]) topology.Stream[string, string] {
		return lines.Process("ticks", func(p textContext) (textProcessor, error) {
			p.Schedule(50*time.Millisecond, topology.WallClock, func(_ context.Context, now int64) error {
				p.Forward(textRecord{Key: "tick", Value: "tick", Timestamp: now})
				if calls.Add(1) <= int64(failures) {
					return errors.New("refused")
				}
				return nil
			})
			return func(_ context.Context, r textRecord) error { p.Forward(r); return nil }, nil
		})
	}
}

// A policy applies to punctuations as it does to records.
func TestProcessor_aFailingPunctuationFollowsThePolicy(t *testing.T) {
	t.Parallel()
	t.Run("skip", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		var calls atomic.Int64
		_, stop := s.start(t, s.processed(t, failingTicks(1, &calls), topology.OnProcessingFailure(topology.Skip())), s.config(t))
		eventually(t, func() bool { return len(s.values(t, s.out)) > 1 })
		stop()
		require.Len(t, s.mu.skipped, 1)
		skipped := s.mu.skipped[0]
		require.Empty(t, skipped.Topic)
		require.Equal(t, "ticks", skipped.Node)
		failed, ok := errors.AsType[*engine.PunctuationError](skipped.Err)
		require.True(t, ok)
		require.Equal(t, "ticks", failed.Punctuation.Node)
		require.Contains(t, s.log.String(), "punctuation skipped")
		require.Zero(t, s.mu.failures)
	})
	t.Run("retry", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		var calls atomic.Int64
		_, stop := s.start(t, s.processed(t, failingTicks(2, &calls), topology.OnProcessingFailure(topology.Retry(2))), s.config(t))
		eventually(t, func() bool { return len(s.values(t, s.out)) > 1 })
		stop()
		require.Empty(t, s.mu.skipped)
		require.Equal(t, 2, s.mu.failures)
	})
	t.Run("stop", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		var calls atomic.Int64
		err := s.fail(t, s.processed(t, failingTicks(100, &calls), topology.OnProcessingFailure(topology.Retry(1))), s.config(t))
		require.ErrorContains(t, err, `node "ticks": punctuation 1 of "ticks" due at `)
		require.ErrorContains(t, err, "refused; correct the function or codec")
		require.Equal(t, int64(2), calls.Load())
		require.Empty(t, s.values(t, s.out))
	})
}

// A processor that returns Unavailable is called again until it succeeds, whatever the policy says.
func TestProcessor_unavailableIsNotTheRecordsFault(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var tries atomic.Int64
	top := s.processed(t, numbering(time.Hour, func(*textRecord) error {
		if tries.Add(1) <= 5 {
			return topology.Unavailable(errors.New("no answer"))
		}
		return nil
	}), topology.OnProcessingFailure(topology.Skip()))
	s.send(t, "a", "b")
	_, stop := s.start(t, top, s.config(t))
	s.await(t, 2)
	stop()
	_, others := s.requireNumbered(t)
	require.Equal(t, []string{"a", "b"}, others)
	require.Equal(t, int64(7), tries.Load())
	require.Empty(t, s.mu.skipped)
	require.Equal(t, 5, s.mu.failures)
}

func TestProcessor_commitsWhenItIsAskedTo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	top := s.processed(t, func(b *topology.Builder, lines topology.Stream[string, string]) topology.Stream[string, string] {
		numbers := topology.KeyValueStore(b, "numbers", codecs.String, codecs.Int64)
		return lines.Process("counts", func(p textContext) (textProcessor, error) {
			numbers.In(p)
			return func(_ context.Context, r textRecord) error {
				if r.Value == "now" {
					p.RequestCommit()
				}
				return nil
			}, nil
		})
	})
	cfg := s.config(t)
	cfg.CommitInterval = 5 * time.Minute
	_, stop := s.start(t, top, cfg)
	s.send(t, "later", "now")
	s.await(t, 2)
	stop()
}

// keyed are n records of some keys.
func (s *site) keyed(from, n int) (records []*kgo.Record) {
	for i := from; i < from+n; i++ {
		records = append(records, &kgo.Record{Topic: s.in, Key: fmt.Append(nil, "k", i%13), Value: fmt.Append(nil, i)})
	}
	return records
}

// Calls that take their time, fail and panic, under restarts and commits: each record counts once, in the order of its
// key, in outputs and in the table; records that always fail are skipped and leave no trace.
func TestProcessAsync_isExact(t *testing.T) {
	t.Parallel()
	const rounds, each = 3, 400
	s := newSite(t)
	var asked sync.Map
	call := func(ctx context.Context, r textRecord) (string, error) {
		select {
		case <-time.After(time.Duration(rand.IntN(2000)) * time.Microsecond):
		case <-ctx.Done():
			return "", ctx.Err()
		}
		switch {
		case strings.HasSuffix(r.Value, "77"):
			return "", errors.New("never")
		case strings.HasSuffix(r.Value, "50"):
			if _, again := asked.LoadOrStore(r.Value, true); !again {
				return "", topology.Unavailable(errors.New("not now"))
			}
		case strings.HasSuffix(r.Value, "30"):
			if _, again := asked.LoadOrStore(r.Value, true); !again {
				panic("once")
			}
		}
		return "=" + r.Value, nil
	}
	top := s.processed(t, func(_ *topology.Builder, lines topology.Stream[string, string]) topology.Stream[string, string] {
		called := lines.ProcessAsync("call", 32, call)
		called.GroupByKey().Count("counts")
		return called
	}, topology.OnProcessingFailure(topology.Retry(1).ThenSkip()))
	cfg := s.config(t)
	cfg.CommitInterval = 20 * time.Millisecond
	for round := range rounds {
		_, stop := s.start(t, top, cfg)
		records := s.keyed(round*each, each)
		for len(records) > 0 {
			n := min(1+rand.IntN(60), len(records))
			require.NoError(t, s.kafka.ProduceSync(t.Context(), records[:n]...).FirstErr())
			records = records[n:]
			if round < rounds-1 && len(records) < each/4 {
				break // the rest comes while nobody runs
			}
		}
		if round == rounds-1 {
			s.await(t, rounds*each)
		}
		stop()
		require.NoError(t, s.kafka.ProduceSync(t.Context(), records...).FirstErr())
	}
	want, bad := make(map[string][]string), []int64{}
	for i := range rounds * each {
		if i%100 == 77 {
			bad = append(bad, int64(i))
			continue
		}
		key := fmt.Sprint("k", i%13)
		want[key] = append(want[key], fmt.Sprint("=", i))
	}
	got := make(map[string][]string)
	for _, r := range s.read(t, s.out) {
		got[string(r.Key)] = append(got[string(r.Key)], string(r.Value))
	}
	require.Equal(t, want, got)
	require.ElementsMatch(t, bad, s.skippedOffsets())
}

// A call that does not end delays neither the end of the application nor, for ever, its work.
func TestProcessAsync_aCallThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var calls atomic.Int64
	called := make(chan struct{}, 10)
	call := func(ctx context.Context, r textRecord) (string, error) {
		called <- struct{}{}
		if calls.Add(1) <= 2 {
			<-ctx.Done()
			return "", ctx.Err()
		}
		return r.Value, nil
	}
	top := s.processed(t, func(_ *topology.Builder, lines topology.Stream[string, string]) topology.Stream[string, string] {
		out := lines.ProcessAsync("call", 4, call)
		out.GroupByKey().Count("counts")
		return out
	}, topology.OnProcessingFailure(topology.Stop()))
	cfg := s.config(t)
	cfg.TransactionTimeout = time.Second
	s.send(t, "a")
	_, stop := s.start(t, top, cfg)
	<-called
	stop()
	require.Equal(t, int64(-1), s.committed(t))
	_, stop = s.start(t, top, cfg)
	s.await(t, 1)
	stop()
	require.Equal(t, []string{"a"}, s.values(t, s.out))
	require.Contains(t, s.log.String(), "no call has ended for 1s; bound them with topology.CallTimeout")
}

// As many calls run at a time as are allowed, and never more.
func TestProcessAsync_callsOverlap(t *testing.T) {
	t.Parallel()
	for _, concurrency := range []int{1, 64} {
		t.Run(strconv.Itoa(concurrency), func(t *testing.T) {
			const n = 1000
			s := newSite(t)
			var running, most atomic.Int64
			all := make(chan struct{}) // closed when as many run as may
			open := sync.OnceFunc(func() { close(all) })
			call := func(ctx context.Context, r textRecord) (string, error) {
				now := running.Add(1)
				defer running.Add(-1)
				for {
					before := most.Load()
					if now <= before || most.CompareAndSwap(before, now) {
						break
					}
				}
				if now == int64(concurrency) {
					open()
				}
				select {
				case <-all:
					return r.Value, nil
				case <-ctx.Done():
					return "", ctx.Err()
				}
			}
			top := s.processed(t, func(_ *topology.Builder, lines topology.Stream[string, string]) topology.Stream[string, string] {
				called := lines.ProcessAsync("call", concurrency, call)
				called.GroupByKey().Count("counts")
				return called
			})
			records := make([]*kgo.Record, n)
			for i := range records {
				records[i] = &kgo.Record{Topic: s.in, Key: fmt.Append(nil, i), Value: []byte("v")}
			}
			require.NoError(t, s.kafka.ProduceSync(t.Context(), records...).FirstErr())
			cfg := s.config(t)
			cfg.CommitInterval, cfg.CommitRecords = 5*time.Minute, n // a commit waits for the calls
			_, stop := s.start(t, top, cfg)
			s.await(t, n)
			stop()
			require.Equal(t, int64(concurrency), most.Load())
			require.Len(t, s.values(t, s.out), n)
		})
	}
}
