package broker_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/state"
)

// breakable is a broker with a request key that can be made to fail, and a client of it.
type breakable struct {
	cluster *kfake.Cluster
	client  *broker.Client
}

func newBreakable(t *testing.T, topics ...string) *breakable {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, topics...))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	client, err := broker.Connect(t.Context(), broker.Config{Brokers: cluster.ListenAddrs()})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return &breakable{cluster: cluster, client: client}
}

// breakWith lets answer answer all requests of a key until the function it returns is called.
func (b *breakable) breakWith(key kmsg.Key, answer func(kmsg.Request) (kmsg.Response, error)) (mend func()) {
	var broken atomic.Bool
	broken.Store(true)
	b.cluster.ControlKey(int16(key), func(req kmsg.Request) (kmsg.Response, error, bool) {
		b.cluster.KeepControl()
		if !broken.Load() {
			return nil, nil, false
		}
		resp, err := answer(req)
		return resp, err, true
	})
	return func() { broken.Store(false) }
}

// Ways in which a broker fails a request.
var failures = map[string]func(kmsg.Request) (kmsg.Response, error){
	"hangs":           func(kmsg.Request) (kmsg.Response, error) { return nil, nil }, //nolint:nilnil // kfake then sends no answer
	"hangs up":        func(kmsg.Request) (kmsg.Response, error) { return nil, errors.New("cut") },
	"does not know":   func(req kmsg.Request) (kmsg.Response, error) { return failed(req, kerr.UnknownServerError), nil },
	"is busy":         func(req kmsg.Request) (kmsg.Response, error) { return failed(req, kerr.ConcurrentTransactions), nil },
	"refuses a state": func(req kmsg.Request) (kmsg.Response, error) { return failed(req, kerr.InvalidTxnState), nil },
}

// failed is the answer to req that says err.
func failed(req kmsg.Request, err *kerr.Error) kmsg.Response {
	resp := req.ResponseKind()
	switch resp := resp.(type) {
	case *kmsg.AddOffsetsToTxnResponse:
		resp.ErrorCode = err.Code
	case *kmsg.EndTxnResponse:
		resp.ErrorCode = err.Code
	case *kmsg.TxnOffsetCommitResponse:
		commit, ok := req.(*kmsg.TxnOffsetCommitRequest)
		if !ok {
			return resp
		}
		for _, t := range commit.Topics {
			answer := kmsg.NewTxnOffsetCommitResponseTopic()
			answer.Topic, answer.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				part := kmsg.NewTxnOffsetCommitResponseTopicPartition()
				part.Partition, part.ErrorCode = p.Partition, err.Code
				answer.Partitions = append(answer.Partitions, part)
			}
			resp.Topics = append(resp.Topics, answer)
		}
	}
	return resp
}

// Whatever a broker does to a request of a commit: the commit ends, within the transaction timeout, and its error is
// never taken for a result. The takeover that follows finds nothing of the transaction, neither records nor offsets,
// and goes on.
func TestCommit_everyFailureEndsAndLeavesNothing(t *testing.T) {
	for _, key := range []kmsg.Key{kmsg.AddOffsetsToTxn, kmsg.TxnOffsetCommit, kmsg.EndTxn} {
		for how, answer := range failures {
			t.Run(key.Name()+" "+how, func(t *testing.T) {
				t.Parallel()
				b := newBreakable(t, "in", "out")
				in := state.TopicPartition{Topic: "in", Partition: 0}
				cfg := broker.WriterConfig{TransactionalID: "c.g.0", Group: "g", Timeout: time.Second}
				w, err := broker.TakeOver(t.Context(), b.client, cfg)
				require.NoError(t, err)
				defer w.Close()
				require.NoError(t, w.Begin())
				produce(w, "out", "kept")
				require.NoError(t, w.Commit(t.Context(), state.Offsets{in: 1}))

				mend := b.breakWith(key, answer)
				require.NoError(t, w.Begin())
				produce(w, "out", "lost")
				require.Error(t, w.Commit(t.Context(), state.Offsets{in: 2}))
				mend()
				w.Close()

				next, err := broker.TakeOver(t.Context(), b.client, cfg)
				require.NoError(t, err)
				defer next.Close()
				offsets, err := next.Committed(t.Context(), []string{"in"}, 0)
				require.NoError(t, err)
				require.Equal(t, map[string]int64{"in": 1}, offsets)
				require.NoError(t, next.Begin())
				produce(next, "out", "again")
				require.NoError(t, next.Commit(t.Context(), state.Offsets{in: 2}))
				require.Equal(t, []string{"kept", "again"}, restored(t, b.client, "out"))
			})
		}
	}
}

// The outcome that a takeover finds may also be that everything was committed, by a broker that did not live to say so.
func TestCommit_unknownOutcomeMayBeACommit(t *testing.T) {
	b := newBreakable(t, "in", "out")
	other, err := kgo.NewClient(kgo.SeedBrokers(b.cluster.ListenAddrs()...))
	require.NoError(t, err)
	defer other.Close()
	in := state.TopicPartition{Topic: "in", Partition: 0}
	cfg := broker.WriterConfig{TransactionalID: "c.g.0", Group: "g", Timeout: time.Second}
	w, err := broker.TakeOver(t.Context(), b.client, cfg)
	require.NoError(t, err)
	defer w.Close()

	// EndTxn is carried out, but by way of another connection: its sender never hears.
	requests := make(chan *kmsg.EndTxnRequest, 1)
	b.cluster.ControlKey(int16(kmsg.EndTxn), func(req kmsg.Request) (kmsg.Response, error, bool) {
		end, _ := req.(*kmsg.EndTxnRequest)
		requests <- end
		return nil, nil, true
	})
	require.NoError(t, w.Begin())
	produce(w, "out", "committed")
	outcome := make(chan error, 1)
	go func() { outcome <- w.Commit(t.Context(), state.Offsets{in: 7}) }()
	resp, err := (<-requests).RequestWith(t.Context(), other)
	require.NoError(t, err)
	require.NoError(t, kerr.ErrorForCode(resp.ErrorCode))
	require.ErrorIs(t, <-outcome, context.DeadlineExceeded)

	next, err := broker.TakeOver(t.Context(), b.client, cfg)
	require.NoError(t, err)
	defer next.Close()
	offsets, err := next.Committed(t.Context(), []string{"in"}, 0)
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"in": 7}, offsets)
	require.Equal(t, []string{"committed"}, restored(t, b.client, "out"))
}

// An answer that is lost on the way is asked for again, and the broker knows what it did: no takeover is needed.
func TestCommit_survivesALostConnection(t *testing.T) {
	b := newBreakable(t, "in", "out")
	w := takeOver(t, b.client, "c.g.0")
	in := state.TopicPartition{Topic: "in", Partition: 0}
	for i, key := range []kmsg.Key{kmsg.Produce, kmsg.AddOffsetsToTxn, kmsg.TxnOffsetCommit, kmsg.EndTxn} {
		b.cluster.ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) { return nil, errors.New("cut"), true })
		require.NoError(t, w.Begin())
		produce(w, "out", key.Name())
		require.NoError(t, w.Commit(t.Context(), state.Offsets{in: int64(i)}))
	}
	require.Equal(t, []string{"Produce", "AddOffsetsToTxn", "TxnOffsetCommit", "EndTxn"}, restored(t, b.client, "out"))
}

// A broker that takes no records holds a commit up no longer than the transaction could last anyway.
func TestCommit_endsWhenNoRecordIsAcknowledged(t *testing.T) {
	b := newBreakable(t, "out")
	w, err := broker.TakeOver(t.Context(), b.client, broker.WriterConfig{TransactionalID: "c.g.0", Group: "g", Timeout: time.Second})
	require.NoError(t, err)
	defer w.Close()
	defer b.breakWith(kmsg.Produce, failures["hangs"])()
	require.NoError(t, w.Begin())
	produce(w, "out", "stuck")
	err = w.Commit(t.Context(), nil)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "flush transaction of c.g.0")
	require.ErrorContains(t, err, "the brokers did not finish it in 1s")
}

// A Produce that waits for room in the buffer of a broker that takes nothing returns when the owner must end.
func TestWriter_interruptFreesAProduceThatWaits(t *testing.T) {
	b := newBreakable(t, "out")
	w := takeOver(t, b.client, "c.g.0")
	defer b.breakWith(kmsg.Produce, failures["hangs"])()
	require.NoError(t, w.Begin())
	var produced atomic.Int64
	full := make(chan struct{})
	const more = 60_000 // than the buffer holds
	go func() {
		defer close(full)
		for range more {
			produce(w, "out", "v")
			produced.Add(1)
		}
	}()
	require.Eventually(t, func() bool { return produced.Load() == 50_000 }, 20*time.Second, time.Millisecond)
	w.Interrupt()
	<-full
	require.ErrorContains(t, w.Commit(t.Context(), nil), "the writer was interrupted")
}

// When the log lost what a producer wrote last, its client gets a new epoch and sends what it still has again. Within a
// transaction that aborts the first part: to commit the rest would lose it.
func TestCommit_refusesATransactionWhoseProducerWasRenewed(t *testing.T) {
	b := newBreakable(t, "out")
	w := takeOver(t, b.client, "c.g.0")
	require.NoError(t, w.Begin())
	produce(w, "out", "first part")
	require.NoError(t, w.Flush(t.Context()))

	var told atomic.Bool
	mend := b.breakWith(kmsg.Produce, func(req kmsg.Request) (kmsg.Response, error) {
		told.Store(true)
		produce, ok := req.(*kmsg.ProduceRequest)
		if !ok {
			return nil, errors.New("not a produce request")
		}
		resp := kmsg.NewPtrProduceResponse()
		resp.Version = produce.Version
		topic := kmsg.NewProduceResponseTopic()
		topic.Topic, topic.TopicID = produce.Topics[0].Topic, produce.Topics[0].TopicID
		part := kmsg.NewProduceResponseTopicPartition()
		part.ErrorCode, part.LogStartOffset, part.BaseOffset = kerr.UnknownProducerID.Code, 100, -1
		topic.Partitions = append(topic.Partitions, part)
		resp.Topics = append(resp.Topics, topic)
		return resp, nil
	})
	produce(w, "out", "second part")
	require.Eventually(t, told.Load, 10*time.Second, time.Millisecond)
	mend()
	require.ErrorContains(t, w.Commit(t.Context(), nil), "its first part is aborted")
	w.Close()

	next := takeOver(t, b.client, "c.g.0")
	require.NoError(t, next.Begin())
	produce(next, "out", "whole")
	require.NoError(t, next.Commit(t.Context(), nil))
	require.Equal(t, []string{"whole"}, restored(t, b.client, "out"))
}

func TestTakeOver_namesATimeoutThatTheBrokersDoNotAllow(t *testing.T) {
	b := newBreakable(t, "out")
	_, err := broker.TakeOver(t.Context(), b.client, broker.WriterConfig{TransactionalID: "c.g.0", Timeout: 24 * time.Hour})
	require.ErrorIs(t, err, broker.ErrTimeoutRefused)
	require.ErrorContains(t, err, "24h0m0s is more than the brokers allow")
	require.ErrorContains(t, err, "lower it, or raise their transaction.max.timeout.ms")
}
