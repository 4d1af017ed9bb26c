package broker

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed84377926/millrace/embedded"
	"github.com/seed84377926/millrace/internal/brokertest"
)

// An instance is killed while it waits to be let into its group, in a rebalance that gives it what another dead member
// had. It must not keep that for longer than its session lasts.
func TestMember_memberThatDiesWhileItJoinsDoesNotKeepItsPartitions(t *testing.T) {
	b := brokertest.Start(t, embedded.Config{})
	client := connect(t, b.Addrs())
	require.NoError(t, client.EnsureTopics(t.Context(), TopicSpec{Name: "in", Partitions: 4, Kind: EventLog}))

	assigned := make(chan []int32, 16)
	leader, err := JoinGroup(MemberConfig{
		Client: client, Group: "g", Topics: []string{"in"}, SessionTimeout: rawSession,
		Assigned: func(ps []int32) { assigned <- ps }, Revoked: func([]int32) {}, Lost: func([]int32) {},
	})
	require.NoError(t, err)
	defer func() { require.NoError(t, leader.Leave(context.Background())) }()
	require.Len(t, <-assigned, 4)

	// A second member gets half of the partitions, in the same round in which the leader gives them up.
	second := newRawMember(t, b)
	second.join(t)
	given := second.sync(t)
	require.Len(t, given, 2)
	second.awaitRebalance(t) // the leader says that it has given them up
	second.join(t)
	require.Equal(t, given, second.sync(t))

	newRawMember(t, b).dieWhileJoining(t)
	second.kafka.Close() // dies, too: its partitions are free at once and go to the member that is already dead

	select {
	case ps := <-assigned:
		require.ElementsMatch(t, given, ps)
	case <-time.After(20 * rawSession):
		t.Fatal("nobody works on the partitions of the dead members")
	}
}

// rawSession is the session timeout of all members of the test.
const rawSession = time.Second

// rawMember is a group member that says exactly what the test says.
type rawMember struct {
	kafka      *kgo.Client
	id         string
	generation int32
}

func newRawMember(t *testing.T, b *embedded.Broker) *rawMember {
	t.Helper()
	return &rawMember{kafka: brokertest.NewKafka(t, b.Addrs())}
}

func (m *rawMember) joinRequest() *kmsg.JoinGroupRequest {
	plan := &copartitioned{info: func() memberInfo { return memberInfo{Address: "raw"} }}
	protocol := kmsg.NewJoinGroupRequestProtocol()
	protocol.Name, protocol.Metadata = plan.ProtocolName(), plan.JoinGroupMetadata([]string{"in"}, nil, m.generation)
	join := kmsg.NewPtrJoinGroupRequest()
	join.Group, join.ProtocolType, join.MemberID = "g", "consumer", m.id
	join.SessionTimeoutMillis = int32(rawSession.Milliseconds())
	join.RebalanceTimeoutMillis = 60_000
	join.Protocols = append(join.Protocols, protocol)
	return join
}

// register gets the member its id.
func (m *rawMember) register(t *testing.T) {
	t.Helper()
	resp, err := m.joinRequest().RequestWith(t.Context(), m.kafka)
	require.NoError(t, err)
	require.ErrorIs(t, kerr.ErrorForCode(resp.ErrorCode), kerr.MemberIDRequired)
	m.id = resp.MemberID
}

// join joins and waits for the others.
func (m *rawMember) join(t *testing.T) {
	t.Helper()
	if m.id == "" {
		m.register(t)
	}
	resp, err := m.joinRequest().RequestWith(t.Context(), m.kafka)
	require.NoError(t, err)
	require.NoError(t, kerr.ErrorForCode(resp.ErrorCode))
	require.NotEqual(t, m.id, resp.LeaderID)
	m.generation = resp.Generation
}

// sync returns the partitions that the leader gives the member. If the leader begins another round first, the member
// joins that one, as every client does.
func (m *rawMember) sync(t *testing.T) []int32 {
	t.Helper()
	sync := kmsg.NewPtrSyncGroupRequest()
	sync.Group, sync.MemberID, sync.Generation = "g", m.id, m.generation
	resp, err := sync.RequestWith(t.Context(), m.kafka)
	require.NoError(t, err)
	if err := kerr.ErrorForCode(resp.ErrorCode); errors.Is(err, kerr.RebalanceInProgress) {
		m.join(t)
		return m.sync(t)
	}
	require.NoError(t, kerr.ErrorForCode(resp.ErrorCode))
	plan, err := (&copartitioned{}).ParseSyncAssignment(resp.MemberAssignment)
	require.NoError(t, err)
	return plan["in"]
}

// awaitRebalance sends heartbeats until the answer says that another member wants to join.
func (m *rawMember) awaitRebalance(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		beat := kmsg.NewPtrHeartbeatRequest()
		beat.Group, beat.MemberID, beat.Generation = "g", m.id, m.generation
		resp, err := beat.RequestWith(t.Context(), m.kafka)
		return err == nil && errors.Is(kerr.ErrorForCode(resp.ErrorCode), kerr.RebalanceInProgress)
	}, 10*time.Second, 5*time.Millisecond)
}

// dieWhileJoining joins and breaks the connection before the answer, for which the others must join first: they learn
// of it with their next heartbeat, a fifth of a session later.
func (m *rawMember) dieWhileJoining(t *testing.T) {
	t.Helper()
	m.register(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := m.joinRequest().RequestWith(ctx, m.kafka)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	m.kafka.Close()
}
