package broker

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed84377926/millrace/internal/assignment"
)

// Where everyone works in transactions, a partition that moves is given to its new owner in the plan that takes it from
// the old one. One member that does not is enough to have it given away only after the old owner has let go.
func TestBalance_movesInTwoStepsIfAMemberAsksForIt(t *testing.T) {
	for name, test := range map[string]struct {
		asks bool
		want map[string][]int32
	}{
		"one step":  {false, map[string][]int32{"old": {0}, "new": {1}}},
		"two steps": {true, map[string][]int32{"old": {0}, "new": nil}},
	} {
		t.Run(name, func(t *testing.T) {
			member := func(id string, owned []int32, info memberInfo) kmsg.JoinGroupResponseMember {
				told := &copartitioned{info: func() memberInfo { return info }}
				m := kmsg.NewJoinGroupResponseMember()
				m.MemberID = id
				m.ProtocolMetadata = told.JoinGroupMetadata([]string{"in"}, map[string][]int32{"in": owned}, 1)
				return m
			}
			members := []kmsg.JoinGroupResponseMember{
				member("old", []int32{0, 1}, memberInfo{Address: "old"}),
				member("new", nil, memberInfo{Address: "new", TwoSteps: test.asks}),
			}
			leader := &copartitioned{rules: assignment.Rules{AcceptableLag: 1000}}
			balancer, topics, err := leader.MemberBalancer(members)
			require.NoError(t, err)
			require.Contains(t, topics, "in")
			planner, ok := balancer.(kgo.GroupMemberBalancerOrError)
			require.True(t, ok)
			plan, err := planner.BalanceOrError(map[string]int32{"in": 2})
			require.NoError(t, err)
			got := make(map[string][]int32)
			for _, a := range plan.IntoSyncAssignment() {
				var assigned kmsg.ConsumerMemberAssignment
				require.NoError(t, assigned.ReadFrom(a.MemberAssignment))
				got[a.MemberID] = nil
				for _, topic := range assigned.Topics {
					got[a.MemberID] = topic.Partitions
				}
			}
			require.Equal(t, test.want, got)
		})
	}
}

// Topics that had different numbers of partitions when the member started are planned together: the owner of a
// partition of the group gets it of the topics that have it.
func TestBalance_topicsOfDifferentSizes(t *testing.T) {
	leader := &copartitioned{rules: assignment.Rules{AcceptableLag: 1000}}
	leader.expect(map[string]int32{"few": 1, "many": 4})
	var members []kmsg.JoinGroupResponseMember
	for _, id := range []string{"a", "b"} {
		told := &copartitioned{info: func() memberInfo { return memberInfo{Address: id} }}
		m := kmsg.NewJoinGroupResponseMember()
		m.MemberID = id
		m.ProtocolMetadata = told.JoinGroupMetadata([]string{"few", "many"}, nil, 1)
		members = append(members, m)
	}
	balancer, _, err := leader.MemberBalancer(members)
	require.NoError(t, err)
	planner, ok := balancer.(kgo.GroupMemberBalancerOrError)
	require.True(t, ok)
	plan, err := planner.BalanceOrError(map[string]int32{"few": 1, "many": 4})
	require.NoError(t, err)
	got := make(map[string]map[string][]int32)
	for _, a := range plan.IntoSyncAssignment() {
		var assigned kmsg.ConsumerMemberAssignment
		require.NoError(t, assigned.ReadFrom(a.MemberAssignment))
		got[a.MemberID] = make(map[string][]int32)
		for _, topic := range assigned.Topics {
			if len(topic.Partitions) > 0 {
				got[a.MemberID][topic.Topic] = topic.Partitions
			}
		}
	}
	require.Equal(t, map[string]map[string][]int32{
		"a": {"few": {0}, "many": {0, 1}}, "b": {"many": {2, 3}},
	}, got)
}

// balanced returns what a leader gives the members, by member and topic, and the topics that it tells them.
func balanced(t *testing.T, leader *copartitioned, topics map[string]int32, members ...kmsg.JoinGroupResponseMember) (
	given map[string]map[string][]int32, read []string,
) {
	t.Helper()
	balancer, _, err := leader.MemberBalancer(members)
	require.NoError(t, err)
	planner, ok := balancer.(kgo.GroupMemberBalancerOrError)
	require.True(t, ok)
	plan, err := planner.BalanceOrError(topics)
	require.NoError(t, err)
	given = make(map[string]map[string][]int32)
	for _, a := range plan.IntoSyncAssignment() {
		told := &copartitioned{read: func(topics []string) { read = topics }}
		given[a.MemberID], err = told.ParseSyncAssignment(a.MemberAssignment)
		require.NoError(t, err)
		maps.DeleteFunc(given[a.MemberID], func(_ string, partitions []int32) bool { return len(partitions) == 0 })
	}
	return given, read
}

// While a topic is new, not all members read it: each gets what it reads, the leader need not know all topics, and all
// members learn them. In two steps a partition moves as a whole.
func TestBalance_membersReadDifferentTopics(t *testing.T) {
	member := func(id string, twoSteps bool, topics []string, owned map[string][]int32) kmsg.JoinGroupResponseMember {
		told := &copartitioned{info: func() memberInfo { return memberInfo{Address: id, TwoSteps: twoSteps} }}
		m := kmsg.NewJoinGroupResponseMember()
		m.MemberID = id
		m.ProtocolMetadata = told.JoinGroupMetadata(topics, owned, 1)
		return m
	}
	for name, test := range map[string]struct {
		twoSteps bool
		want     map[string]map[string][]int32
	}{
		"one step":  {false, map[string]map[string][]int32{"a": {"in": {0}}, "b": {"in": {1}, "new": {1}}}},
		"two steps": {true, map[string]map[string][]int32{"a": {"in": {0}}, "b": {}}},
	} {
		t.Run(name, func(t *testing.T) {
			leader := &copartitioned{rules: assignment.Rules{AcceptableLag: 1000}}
			leader.expect(map[string]int32{"in": 2})
			given, read := balanced(t, leader, map[string]int32{"in": 2, "new": 2},
				member("a", test.twoSteps, []string{"in"}, map[string][]int32{"in": {0, 1}}),
				member("b", test.twoSteps, []string{"in", "new"}, nil))
			require.Equal(t, []string{"in", "new"}, read)
			require.Equal(t, test.want, given)
		})
	}
}

// Topics come and go below the partitions of the group.
func TestHeldPartitions(t *testing.T) {
	var h heldPartitions
	require.Equal(t, []int32{0, 1, 2}, h.add(map[string][]int32{"in": {0, 1}, "wide": {0, 1, 2}}))
	require.Empty(t, h.add(map[string][]int32{"new": {0, 1}, "in": {1}}))
	require.Equal(t, []int32{2}, h.remove(map[string][]int32{"wide": {0, 1, 2}, "never": {0}}))
	require.Equal(t, []int32{1}, h.remove(map[string][]int32{"in": {1}, "new": {1}}))
	require.Equal(t, []int32{1}, h.add(map[string][]int32{"new": {1}}))
	require.Equal(t, []int32{0, 1}, h.remove(map[string][]int32{"in": {0}, "new": {0, 1}}))
	require.Empty(t, h.remove(nil))
}

func TestCheckSizes(t *testing.T) {
	type sizes = map[string]int32
	for _, c := range []struct {
		expected, topics sizes
		want             string
	}{
		{nil, sizes{"a": 2, "b": 2}, ""},
		{nil, sizes{"a": 2, "b": 3}, "topics of the group are not co-partitioned: a has 2 partitions, b has 3 partitions; give all of them as many"},
		{sizes{"a": 2, "b": 3}, sizes{"a": 2, "b": 3}, ""},
		// All have grown: the member with tasks of new partitions reports it.
		{sizes{"a": 2, "b": 2}, sizes{"a": 3, "b": 3}, ""},
		// One is known to others only, and one was deleted.
		{sizes{"a": 2, "b": 3}, sizes{"a": 2, "b": 3, "new": 1}, ""},
		{sizes{"a": 2, "b": 2}, sizes{"a": 2, "b": 0}, ""},
		{sizes{"a": 2, "b": 2}, sizes{"a": 3, "b": 2}, "topics of the group are not co-partitioned: a has 3 partitions, b has 2 partitions; give all of them as many"},
		{sizes{"a": 2, "b": 3}, sizes{"a": 3, "b": 3}, "topics of the group are not co-partitioned: a has 3 partitions, b has 3 partitions, " +
			"and not all had as many when this instance started; start it again"},
	} {
		b := &copartitioned{}
		b.expect(c.expected)
		err := b.checkSizes(c.topics)
		if c.want == "" {
			require.NoError(t, err)
		} else {
			require.EqualError(t, err, c.want)
		}
	}
}
