package embedded

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestJournal_remembersTheLastCommit(t *testing.T) {
	path := filepath.Join(t.TempDir(), journalFile)
	j, err := openJournal(path, true)
	require.NoError(t, err)
	require.Nil(t, j.last)
	reopen := func() *prepared {
		require.NoError(t, j.close())
		j, err = openJournal(path, true)
		require.NoError(t, err)
		return j.last
	}

	require.NoError(t, j.followTransaction(stage("a", 7, 3, "g", 40)))
	require.NoError(t, j.followTransaction(stage("a", 7, 3, "g", 41)))
	require.NoError(t, j.followTransaction(end("a", 7, 3, true)))
	last := reopen()
	require.Equal(t, "a", last.TransactionalID)
	require.Equal(t, int64(7), last.ProducerID)
	require.Equal(t, int16(3), last.ProducerEpoch)
	require.Len(t, last.Offsets, 2)
	require.Equal(t, preparedOffset{Group: "g", Topic: "in", Partition: 1, Offset: 41, LeaderEpoch: 5}, last.Offsets[1])

	t.Run("a shorter entry replaces a longer one", func(t *testing.T) {
		require.NoError(t, j.followTransaction(end("b", 8, 0, true)))
		require.Equal(t, &prepared{TransactionalID: "b", ProducerID: 8}, reopen())
	})
	t.Run("an abort is not written", func(t *testing.T) {
		require.NoError(t, j.followTransaction(stage("c", 9, 0, "g", 1)))
		require.NoError(t, j.followTransaction(end("c", 9, 0, false)))
		require.Equal(t, "b", reopen().TransactionalID)
	})
	t.Run("offsets of another incarnation do not count", func(t *testing.T) {
		require.NoError(t, j.followTransaction(stage("a", 7, 3, "g", 1)))
		require.NoError(t, j.followTransaction(end("a", 7, 4, true)))
		require.Empty(t, reopen().Offsets)
		require.NoError(t, j.followTransaction(stage("a", 7, 4, "g", 1)))
		require.NoError(t, j.followTransaction(&kmsg.InitProducerIDRequest{TransactionalID: new("a")}))
		require.NoError(t, j.followTransaction(end("a", 7, 4, true)))
		require.Empty(t, reopen().Offsets)
	})
	t.Run("cleared", func(t *testing.T) {
		require.NoError(t, j.clear())
		require.Nil(t, reopen())
	})
	require.NoError(t, j.close())
}

func stage(id string, producer int64, epoch int16, group string, offset int64) *kmsg.TxnOffsetCommitRequest {
	part := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	part.Partition, part.Offset, part.LeaderEpoch = 1, offset, 5
	return &kmsg.TxnOffsetCommitRequest{
		TransactionalID: id, ProducerID: producer, ProducerEpoch: epoch, Group: group,
		Topics: []kmsg.TxnOffsetCommitRequestTopic{{
			Topic: "in", Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{part},
		}},
	}
}

func end(id string, producer int64, epoch int16, commit bool) *kmsg.EndTxnRequest {
	return &kmsg.EndTxnRequest{TransactionalID: id, ProducerID: producer, ProducerEpoch: epoch, Commit: commit}
}

// TestJournal_forgetsWhatIsOver lists what makes the repair of a completed transaction wrong.
func TestJournal_forgetsWhatIsOver(t *testing.T) {
	for _, test := range []struct {
		name    string
		see     func(*journal) error
		forgets bool
	}{
		{"the producer goes on under the same epoch", func(j *journal) error {
			return j.forgetReused(&kmsg.AddPartitionsToTxnRequest{ProducerID: 7, ProducerEpoch: 3})
		}, true},
		{"the same with offsets first", func(j *journal) error {
			return j.forgetReused(&kmsg.AddOffsetsToTxnRequest{ProducerID: 7, ProducerEpoch: 3})
		}, true},
		{"the same in a batch", func(j *journal) error {
			return j.forgetReused(&kmsg.AddPartitionsToTxnRequest{ProducerID: -1, Transactions: []kmsg.AddPartitionsToTxnRequestTransaction{
				{ProducerID: 7, ProducerEpoch: 3},
			}})
		}, true},
		{"it goes on under the next epoch", func(j *journal) error {
			return j.forgetReused(&kmsg.AddOffsetsToTxnRequest{ProducerID: 7, ProducerEpoch: 4})
		}, false},
		{"another producer begins", func(j *journal) error {
			return j.forgetReused(&kmsg.AddOffsetsToTxnRequest{ProducerID: 8, ProducerEpoch: 3})
		}, false},
		{"the group commits otherwise", func(j *journal) error {
			return j.forgetOverridden(&kmsg.OffsetCommitRequest{Group: "g"})
		}, true},
		{"another group commits", func(j *journal) error {
			return j.forgetOverridden(&kmsg.OffsetCommitRequest{Group: "h"})
		}, false},
		{"offsets of the group are deleted", func(j *journal) error {
			return j.forgetOverridden(&kmsg.OffsetDeleteRequest{Group: "g"})
		}, true},
		{"the group is deleted", func(j *journal) error {
			return j.forgetOverridden(&kmsg.DeleteGroupsRequest{Groups: []string{"h", "g"}})
		}, true},
		{"a topic is deleted", func(j *journal) error {
			return j.forgetOverridden(&kmsg.DeleteTopicsRequest{TopicNames: []string{"in"}})
		}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			j, err := openJournal(filepath.Join(t.TempDir(), journalFile), false)
			require.NoError(t, err)
			defer j.close()
			require.NoError(t, test.see(j), "with nothing to forget")
			require.NoError(t, j.followTransaction(stage("a", 7, 3, "g", 40)))
			require.NoError(t, j.followTransaction(end("a", 7, 3, true)))
			require.NoError(t, test.see(j))
			require.Equal(t, test.forgets, j.last == nil)
			data, err := os.ReadFile(j.file.Name())
			require.NoError(t, err)
			require.Equal(t, test.forgets, decodePrepared(data) == nil)
		})
	}
}

// TestJournal_cannotBeWritten shows that a commit that cannot be prepared does not happen.
func TestJournal_cannotBeWritten(t *testing.T) {
	j, err := openJournal(filepath.Join(t.TempDir(), journalFile), false)
	require.NoError(t, err)
	require.NoError(t, j.close())
	err = j.followTransaction(end("a", 7, 3, true))
	require.ErrorContains(t, err, "writing the transaction journal "+j.file.Name())
}

// FuzzDecodePrepared feeds the decoder what a crash or a broken disk may leave.
func FuzzDecodePrepared(f *testing.F) {
	whole, err := encodePrepared(prepared{TransactionalID: "a", ProducerID: 7, Offsets: []preparedOffset{{Group: "g"}}})
	require.NoError(f, err)
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add([]byte{})
	f.Add(make([]byte, journalHeader))
	f.Fuzz(func(t *testing.T, data []byte) {
		p := decodePrepared(data)
		if p == nil {
			return
		}
		again, err := encodePrepared(*p)
		require.NoError(t, err)
		require.Equal(t, p, decodePrepared(append(again, "rubbish of a longer entry"...)))
	})
}
