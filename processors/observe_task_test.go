package processors

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/processors/internal/observe"
	"github.com/seed84377926/millrace/topology"
)

func TestRecordEnd_countsHowTheOpenTransactionEnded(t *testing.T) {
	fenced := fmt.Errorf("commit: %w", broker.ErrFenced)
	for _, c := range []struct {
		name    string
		open    bool
		outcome outcome
		err     error
		want    [outcomes]int64
	}{
		{"nothing open", false, outcomeCommitted, fenced, [outcomes]int64{}},
		{"an operator failed", true, outcomeAborted, errors.New("x"), [outcomes]int64{outcomeAborted: 1}},
		{"no answer", true, outcomeUnknown, errors.New("x"), [outcomes]int64{outcomeUnknown: 1}},
		{"refused", true, outcomeUnknown, fenced, [outcomes]int64{outcomeFenced: 1}},
		{"confirmed, then the disk failed", true, outcomeCommitted, errors.New("x"), [outcomes]int64{outcomeCommitted: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s taskStats
			initTaskStats(&s, observe.NewGroup(), &groupPlan{inputs: []topology.Input{{Topic: "a"}}, sizes: map[string]int32{"a": 1}}, 0)
			s.recordEnd(&life{open: c.open, outcome: c.outcome}, c.err)
			p := s.snapshot(time.Now())
			require.Equal(t, c.want, p.transactions)
		})
	}
}

// Outputs that a life did not commit must neither be counted as committed nor be seen by the next life.
func TestRecordEnd_forgetsWhatWasNotCommitted(t *testing.T) {
	var s taskStats
	initTaskStats(&s, observe.NewGroup(), &groupPlan{inputs: []topology.Input{{Topic: "a"}}, sizes: map[string]int32{"a": 1}}, 0)
	s.recordInput(0, &kgo.Record{Key: []byte("k")}, 0)
	s.output("out").add([]byte("k"), nil)
	s.output("out").open.Add(1)
	s.recordEnd(&life{open: true, outcome: outcomeAborted}, errors.New("x"))
	require.Empty(t, s.live.inputs[0].open)
	require.Empty(t, s.output("out").open)
	require.Zero(t, s.output("out").records)
	require.Equal(t, int64(1), s.live.inputs[0].records, "it was processed, though")
}

// The cost of counting one input record: no allocation, and nothing that another goroutine touches.
func BenchmarkRecordInput(b *testing.B) {
	var s taskStats
	initTaskStats(&s, observe.NewGroup(), &groupPlan{inputs: []topology.Input{{Topic: "a"}}, sizes: map[string]int32{"a": 1}}, 0)
	now := time.Now()
	rec := &kgo.Record{Key: make([]byte, 8), Value: make([]byte, 100), Timestamp: now}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%4096 == 0 {
			s.live.inputs[0].open = s.live.inputs[0].open[:0]
		}
		rec.Timestamp = now.Add(time.Duration(i) * time.Millisecond)
		s.recordInput(0, rec, now.UnixMilli())
	}
}
