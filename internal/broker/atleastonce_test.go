package broker

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/embedded"
	"github.com/seed84377926/millrace/internal/brokertest"
	"github.com/seed84377926/millrace/state"
)

// joined is a member of a group of one topic, which has its partitions.
func joined(t *testing.T, client *Client, group, topic string) *Member {
	t.Helper()
	assigned := make(chan struct{})
	var once sync.Once
	nothing := func([]int32) {}
	member, err := JoinGroup(MemberConfig{
		Client: client, Group: group, Topics: []string{topic}, SessionTimeout: 6 * time.Second,
		Assigned: func([]int32) { once.Do(func() { close(assigned) }) }, Revoked: nothing, Lost: nothing,
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = member.Leave(t.Context()) }) // may have left already
	<-assigned
	return member
}

func record(topic, value string) *kgo.Record {
	return &kgo.Record{Topic: topic, Key: []byte(value), Value: []byte(value)}
}

func TestAtLeastOnce_commitsInTheOrderOfTheProtocolWithoutATransaction(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, addrs []string, unique func(string) string) {
		client := connect(t, addrs)
		in, out, group := unique("in"), unique("out"), unique("group")
		for _, topic := range []string{in, out} {
			require.NoError(t, client.EnsureTopics(t.Context(), TopicSpec{Name: topic, Partitions: 1, Kind: EventLog}))
		}
		exactly := WriterConfig{TransactionalID: unique("id"), Group: group}
		old, err := TakeOver(t.Context(), client, exactly)
		require.NoError(t, err)
		defer old.Close()
		require.NoError(t, old.Begin())
		old.Produce(record(out, "committed"), nil)
		inPartition := state.TopicPartition{Topic: in, Partition: 0}
		require.NoError(t, old.Commit(t.Context(), state.Offsets{inPartition: 1}))
		require.NoError(t, old.Begin())
		old.Produce(record(out, "dangling"), nil)
		require.NoError(t, old.Flush(t.Context()))

		member := joined(t, client, group, in)
		atLeast := exactly
		atLeast.Membership = member.Membership
		w, err := TakeOver(t.Context(), client, atLeast)
		require.NoError(t, err)
		defer w.Close()
		require.Equal(t, [][]string{{"committed"}}, brokertest.Values(t, addrs, out), "the takeover ended what was open")
		old.Produce(record(out, "zombie"), nil)
		require.ErrorIs(t, old.Commit(t.Context(), state.Offsets{inPartition: 99}), ErrFenced, "and fenced its owner")

		offsets, err := w.Committed(t.Context(), []string{in}, 0)
		require.NoError(t, err)
		require.Equal(t, map[string]int64{in: 1}, offsets)
		require.False(t, w.MayDiffer(in))
		require.NoError(t, w.Begin())
		w.Produce(record(out, "output"), nil)
		require.NoError(t, w.Confirm(t.Context()))
		w.Produce(record(out, "row"), nil)
		require.NoError(t, w.Barrier(t.Context()))
		require.Equal(t, [][]string{{"committed", "output", "row"}}, brokertest.Values(t, addrs, out), "visible before the commit")

		// What a crash at this point leaves: the state is ahead of the offsets, and the offsets say that it may be.
		next, err := TakeOver(t.Context(), client, exactly)
		require.NoError(t, err)
		offsets, err = next.Committed(t.Context(), []string{in}, 0)
		require.NoError(t, err)
		require.Equal(t, map[string]int64{in: 1}, offsets)
		require.True(t, next.MayDiffer(in))
		next.Close()

		w.Produce(record(out, "position"), nil)
		require.NoError(t, w.Commit(t.Context(), state.Offsets{inPartition: 2}))
		next, err = TakeOver(t.Context(), client, exactly)
		require.NoError(t, err)
		defer next.Close()
		offsets, err = next.Committed(t.Context(), []string{in}, 0)
		require.NoError(t, err)
		require.Equal(t, map[string]int64{in: 2}, offsets)
		require.True(t, next.MayDiffer(in))
		require.NoError(t, member.Leave(t.Context()))
		require.NoError(t, next.Begin())
		next.Produce(record(out, "again exactly once"), nil)
		require.NoError(t, next.Commit(t.Context(), state.Offsets{inPartition: 3}))
		_, err = next.Committed(t.Context(), []string{in}, 0)
		require.NoError(t, err)
		require.False(t, next.MayDiffer(in), "a transaction makes offsets and state agree again")
	})
}

// Whoever the group has given up on is told before it sends rows, and cannot move the offsets.
func TestAtLeastOnce_whoIsNotAMemberIsFenced(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, addrs []string, unique func(string) string) {
		client := connect(t, addrs)
		in, group := unique("in"), unique("group")
		require.NoError(t, client.EnsureTopics(t.Context(), TopicSpec{Name: in, Partitions: 1, Kind: EventLog}))
		member := joined(t, client, group, in)
		var identity atomic.Pointer[Membership]
		present := member.Membership()
		identity.Store(&present)
		w, err := TakeOver(t.Context(), client, WriterConfig{
			TransactionalID: unique("id"), Group: group, Membership: func() Membership { return *identity.Load() },
		})
		require.NoError(t, err)
		defer w.Close()
		offsets := state.Offsets{state.TopicPartition{Topic: in, Partition: 0}: 5}
		require.NoError(t, w.Begin())
		require.NoError(t, w.Confirm(t.Context()))
		require.NoError(t, w.Commit(t.Context(), offsets))

		past := present
		past.Generation--
		stranger := present
		stranger.Member = "stranger"
		for _, m := range []Membership{past, stranger, {Generation: -1}} {
			identity.Store(&m)
			require.NoError(t, w.Begin())
			require.ErrorIs(t, w.Confirm(t.Context()), ErrFenced, "%+v", m)
			offsets[state.TopicPartition{Topic: in, Partition: 0}] = 99
			require.ErrorIs(t, w.Commit(t.Context(), offsets), ErrFenced, "%+v", m)
		}
		got, err := w.Committed(t.Context(), []string{in}, 0)
		require.NoError(t, err)
		require.Equal(t, map[string]int64{in: 5}, got)
	})
}

// Records that were meant to be sent while the membership held are not sent afterwards.
func TestAtLeastOnce_rowsAreNotSentAfterTheLease(t *testing.T) {
	broker := brokertest.Start(t, embedded.Config{})
	client := connect(t, broker.Addrs())
	for _, topic := range []string{"in", "rows"} {
		require.NoError(t, client.EnsureTopics(t.Context(), TopicSpec{Name: topic, Partitions: 1, Kind: EventLog}))
	}
	member := joined(t, client, "group", "in")
	w, err := TakeOver(t.Context(), client, WriterConfig{
		TransactionalID: "id", Group: "group", Membership: member.Membership, Lease: time.Second,
	})
	require.NoError(t, err)
	defer w.Close()
	require.NoError(t, w.Begin())
	require.NoError(t, w.Confirm(t.Context()))
	w.Produce(record("rows", "in time"), nil)
	require.NoError(t, w.Barrier(t.Context()))
	require.Eventually(t, func() bool { return w.lease.Err() != nil }, 20*time.Second, time.Millisecond)
	w.Produce(record("rows", "too late"), nil)
	require.ErrorIs(t, w.Barrier(t.Context()), errLeaseOver)
	require.Equal(t, [][]string{{"in time"}}, brokertest.Values(t, broker.Addrs(), "rows"))
}

func TestLease(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		name            string
		monotonic, wall time.Duration // since the lease began
		over            bool
	}{
		{"it holds", time.Second, time.Second, false},
		{"it is over", 2 * time.Minute, 2 * time.Minute, true},
		{"the machine was suspended, and its monotonic clock stood still", time.Second, time.Hour, true},
		{"the wall clock was set back", time.Second, -time.Hour, true},
		{"the wall clock was set back and hides how long it took", 2 * time.Minute, time.Second, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLease(t.Context(), now.Add(-c.monotonic), time.Minute)
			l.wall = now.Round(0).Add(-c.wall)
			if !c.over {
				require.NoError(t, l.Err())
				return
			}
			require.ErrorIs(t, l.Err(), errLeaseOver)
			<-l.Done()
		})
	}
}
