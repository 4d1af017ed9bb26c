package processors

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/topology"
)

// The clock of the machine is a day ahead, and the broker refuses the rows of a commit, whose time is that of the
// machine. Rows are traced to records by halving commits, so one record after the other was taken for the cause, and a
// policy that skips such records skipped all of them. No record is the cause.
func TestAttributeRefusal_theClockOfTheMachineIsNoRecord(t *testing.T) {
	b := topology.NewBuilder("app")
	topology.Source(b, "lines", codecs.String, codecs.Int64).GroupByKey().Count("counts")
	top, err := b.Build()
	require.NoError(t, err)
	sub := top.SubTopologies()[0]
	l := &life{plan: &groupPlan{sub: sub}, writer: &broker.Writer{}, faults: &faults{}, group: &group{}, inputs: &inputs{}, current: &kgo.Record{Topic: "lines"}}
	l.uncommitted.records = 8
	row := kgo.Record{Topic: sub.TableTopic(), Key: []byte("counts\x00k")}

	err = l.attributeRefusal(&broker.ProduceError{Record: row, Err: kerr.InvalidTimestamp})
	require.ErrorIs(t, err, kerr.InvalidTimestamp)
	require.ErrorContains(t, err, "correct its clock")
	require.False(t, isRecordFault(err))
	require.False(t, l.faults.pending())

	row.Topic = "out" // the record's own time
	err = l.attributeRefusal(&broker.ProduceError{Record: row, Err: kerr.InvalidTimestamp})
	_, bisecting := errors.AsType[*bisectingError](err)
	require.True(t, bisecting)
}
