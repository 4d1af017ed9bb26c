package broker

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// copartitioned assigns partition numbers, not topic partitions: whoever gets partition 3 gets it of every topic of the
// group, since a task reads partition 3 of them all. The plan is sticky (a member keeps what it has up to its share)
// and cooperative (what stays is never revoked; KIP-429). Members tell their address when they join, and everyone
// learns the whole plan with its assignment.
type copartitioned struct {
	address string
	mu      addresses
}

// ProtocolName is part of the group protocol: members with another name cannot be in the same group.
func (b *copartitioned) ProtocolName() string { return "millrace-copartitioned-1" }

func (b *copartitioned) IsCooperative() bool { return true }

func (b *copartitioned) JoinGroupMetadata(topics []string, current map[string][]int32, generation int32) []byte {
	meta := kmsg.NewConsumerMemberMetadata()
	meta.Version = 3
	meta.Topics = topics
	meta.Generation = generation
	meta.UserData = []byte(b.address)
	for _, topic := range topics {
		if len(current[topic]) > 0 {
			owned := kmsg.NewConsumerMemberMetadataOwnedPartition()
			owned.Topic, owned.Partitions = topic, current[topic]
			meta.OwnedPartitions = append(meta.OwnedPartitions, owned)
		}
	}
	return meta.AppendTo(nil)
}

func (b *copartitioned) ParseSyncAssignment(data []byte) (map[string][]int32, error) {
	var assignment kmsg.ConsumerMemberAssignment
	if err := assignment.ReadFrom(data); err != nil {
		return nil, fmt.Errorf("group assignment: %w", err)
	}
	plan := make(map[string][]int32)
	for _, t := range assignment.Topics {
		plan[t.Topic] = t.Partitions
	}
	members := make(map[string][]int32)
	if len(assignment.UserData) > 0 {
		if err := json.Unmarshal(assignment.UserData, &members); err != nil {
			return nil, fmt.Errorf("group assignment: members: %w", err)
		}
	}
	b.mu.Lock()
	b.mu.partitions = members
	b.mu.Unlock()
	return plan, nil
}

func (b *copartitioned) members() map[string][]int32 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.mu.partitions)
}

func (b *copartitioned) MemberBalancer(members []kmsg.JoinGroupResponseMember) (kgo.GroupMemberBalancer, map[string]struct{}, error) {
	balancer, err := kgo.NewConsumerBalancer(b, members)
	if err != nil {
		return nil, nil, fmt.Errorf("group members: %w", err)
	}
	return balancer, balancer.MemberTopics(), nil
}

// planned is one member while the leader plans.
type planned struct {
	member     *kmsg.JoinGroupResponseMember
	address    string
	owned      []int32
	partitions []int32
}

// Balance runs on the group's leader.
func (b *copartitioned) Balance(balancer *kgo.ConsumerBalancer, topics map[string]int32) kgo.IntoSyncAssignment {
	var n int32
	for topic, partitions := range topics {
		if n != 0 && partitions != n {
			balancer.SetError(fmt.Errorf("topics of the group are not co-partitioned: %s has %d partitions, others %d", topic, partitions, n))
			return nil
		}
		n = partitions
	}
	var members []*planned
	balancer.EachMember(func(m *kmsg.JoinGroupResponseMember, meta *kmsg.ConsumerMemberMetadata) {
		p := &planned{member: m, address: string(meta.UserData)}
		for _, owned := range meta.OwnedPartitions {
			p.owned = append(p.owned, owned.Partitions...)
		}
		slices.Sort(p.owned)
		p.owned = slices.Compact(p.owned)
		members = append(members, p)
	})
	share(members, n)

	plan := balancer.NewPlan()
	told := make(map[string][]int32)
	for _, m := range members {
		told[m.address] = append(told[m.address], m.partitions...)
		for topic := range topics {
			plan.AddPartitions(m.member, topic, m.partitions)
		}
	}
	plan.AdjustCooperative(balancer)
	data, err := json.Marshal(told)
	if err != nil {
		balancer.SetError(fmt.Errorf("group assignment: members: %w", err))
		return nil
	}
	return toldPlan{plan, data}
}

// share gives every partition to one member: each keeps what it owned up to its share, the rest goes to whoever has
// less than its share. Those who own most get the larger shares, so that as few as possible move.
func share(members []*planned, partitions int32) {
	if len(members) == 0 {
		return
	}
	slices.SortStableFunc(members, func(a, b *planned) int { return cmp.Compare(len(b.owned), len(a.owned)) })
	least, larger := int(partitions)/len(members), int(partitions)%len(members)
	quota := func(i int) int {
		if i < larger {
			return least + 1
		}
		return least
	}
	taken := make([]bool, partitions)
	for i, m := range members {
		for _, p := range m.owned {
			if p < partitions && !taken[p] && len(m.partitions) < quota(i) {
				taken[p] = true
				m.partitions = append(m.partitions, p)
			}
		}
	}
	for i, m := range members {
		for p := int32(0); p < partitions && len(m.partitions) < quota(i); p++ {
			if !taken[p] {
				taken[p] = true
				m.partitions = append(m.partitions, p)
			}
		}
	}
}

// toldPlan adds what everyone is told to every member's assignment.
type toldPlan struct {
	*kgo.BalancePlan
	members []byte
}

func (p toldPlan) IntoSyncAssignment() []kmsg.SyncGroupRequestGroupAssignment {
	assignments := p.BalancePlan.IntoSyncAssignment()
	for i := range assignments {
		var a kmsg.ConsumerMemberAssignment
		if err := a.ReadFrom(assignments[i].MemberAssignment); err != nil {
			continue // made by franz-go a moment ago; without the list the member only knows less
		}
		a.UserData = p.members
		assignments[i].MemberAssignment = a.AppendTo(nil)
	}
	return assignments
}
