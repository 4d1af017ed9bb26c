package broker

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Where everyone works in transactions, a partition that moves is given to its new owner in the plan that takes it from the
// old one. One member that does not is enough to have it given away only after the old owner has let go.
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
			leader := &copartitioned{rules: placing{acceptableLag: 1000}}
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
