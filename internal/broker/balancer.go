package broker

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed84377926/millrace/internal/assignment"
)

// ErrUneven says that the inputs of a group do not have the same number of partitions.
var ErrUneven = errors.New("topics of the group are not co-partitioned")

// copartitioned assigns partition numbers, not topic partitions: the member that gets partition 3 gets partition 3 of
// every topic of the group, because a task reads all of them. assignment.Place decides which member gets which
// partition. Each member describes itself when it joins, and receives the whole plan with its assignment.
//
// The protocol is cooperative (KIP-429): a partition that stays with its owner is never revoked. But a partition that
// moves is assigned to its new owner in the same plan that takes it from the old owner. There is no round in between
// without an owner, because the fence ensures that the two never both commit. A member that works without transactions
// asks for that round (TwoSteps), for the whole group.
//
// Members need not read the same topics: one member may already know a new topic that another does not know yet. The
// owner of a partition gets that partition of the topics that it reads itself, and all members learn which topics any
// member reads.
type copartitioned struct {
	rack string
	// info returns the current description of this member.
	info func() memberInfo
	// planned is called with the placement of this member, before any partition is assigned or revoked.
	planned func(assignment.Placement)
	// refused is called with the reason if the group gives this member no partitions; otherwise accepted is called.
	refused  func(reason string)
	accepted func()
	// read is called with the topics that any member reads.
	read func(topics []string)
	// rules are used if this member leads. Partitions is set for each plan, and Standbys to the largest number that any
	// member wants.
	rules assignment.Rules

	mu struct {
		sync.Mutex
		members map[string]assignment.Placement // by address, as last planned
		// expected are the numbers of partitions that the topics had when this member subscribed; nil if all must have
		// the same number.
		expected map[string]int32
	}
}

// memberInfo is what a member tells the leader when it joins.
type memberInfo struct {
	Address  string `json:"address"`
	Topology string `json:"topology,omitempty"` // the fingerprint of the topology that it runs
	Standbys int    `json:"standbys,omitempty"`
	// TwoSteps says that no other member may own a partition at the same time as this member.
	TwoSteps bool `json:"two_steps,omitempty"`
	// Leaving says that the member wants to give up all its partitions.
	Leaving bool `json:"leaving,omitempty"`
	// Held are the changelog offsets that its copies of the state reflect, by partition.
	Held map[int32]int64 `json:"held,omitempty"`
}

// groupPlan is what the leader tells a member with its assignment.
type groupPlan struct {
	Members map[string]assignment.Placement `json:"members"` // by address
	Own     assignment.Placement            `json:"own"`     // Members lacks it if two members gave the same address
	Refused string                          `json:"refused,omitempty"`
	Topics  []string                        `json:"topics,omitempty"` // that any member reads, in order
}

// groupMember is one member as the leader sees it while it plans.
type groupMember struct {
	id         string // the broker's id of the member
	info       memberInfo
	rack       string
	topics     []string // that it reads
	owned      []int32  // partitions that it reports to work on, in order
	generation int32    // of the plan that assigned them
}

// ProtocolName is part of the group protocol: members with another name cannot be in the same group.
func (b *copartitioned) ProtocolName() string { return "millrace-copartitioned-1" }

func (b *copartitioned) IsCooperative() bool { return true }

func (b *copartitioned) JoinGroupMetadata(topics []string, current map[string][]int32, generation int32) []byte {
	meta := kmsg.NewConsumerMemberMetadata()
	meta.Version = 3
	meta.Topics = topics
	meta.Generation = generation
	if b.rack != "" {
		meta.Rack = &b.rack
	}
	data, err := json.Marshal(b.info())
	if err != nil {
		panic(fmt.Sprintf("broker: member info cannot be encoded: %v", err)) // strings and numbers only
	}
	meta.UserData = data
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
	assigned := make(map[string][]int32)
	for _, t := range assignment.Topics {
		assigned[t.Topic] = t.Partitions
	}
	var told groupPlan
	if len(assignment.UserData) > 0 {
		if err := json.Unmarshal(assignment.UserData, &told); err != nil {
			return nil, fmt.Errorf("group assignment: plan: %w", err)
		}
	}
	b.mu.Lock()
	b.mu.members = told.Members
	b.mu.Unlock()
	if b.planned != nil {
		b.planned(told.Own)
	}
	if b.read != nil {
		b.read(told.Topics)
	}
	switch {
	case told.Refused != "" && b.refused != nil:
		b.refused(told.Refused)
	case told.Refused == "" && b.accepted != nil:
		b.accepted()
	}
	return assigned, nil
}

// expect sets the numbers of partitions that the topics have from now on.
func (b *copartitioned) expect(partitions map[string]int32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.expected = partitions
}

func (b *copartitioned) members() map[string]assignment.Placement {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.mu.members)
}

func (b *copartitioned) MemberBalancer(members []kmsg.JoinGroupResponseMember) (kgo.GroupMemberBalancer, map[string]struct{}, error) {
	balancer, err := kgo.NewConsumerBalancer(b, members)
	if err != nil {
		return nil, nil, fmt.Errorf("group members: %w", err)
	}
	return balancer, balancer.MemberTopics(), nil
}

// Balance runs on the group's leader.
func (b *copartitioned) Balance(balancer *kgo.ConsumerBalancer, topics map[string]int32) kgo.IntoSyncAssignment {
	rules := b.rules
	var members []*groupMember
	joined := make(map[string]*kmsg.JoinGroupResponseMember)
	var twoSteps bool
	balancer.EachMember(func(m *kmsg.JoinGroupResponseMember, meta *kmsg.ConsumerMemberMetadata) {
		member := &groupMember{id: m.MemberID, generation: meta.Generation, topics: meta.Topics}
		if err := json.Unmarshal(meta.UserData, &member.info); err != nil {
			balancer.SetError(fmt.Errorf("group member %s tells %q: %w; do all instances run the same version of millrace?", m.MemberID, meta.UserData, err))
			return
		}
		if meta.Rack != nil {
			member.rack = *meta.Rack
		}
		for _, owned := range meta.OwnedPartitions {
			member.owned = append(member.owned, owned.Partitions...)
		}
		slices.Sort(member.owned)
		member.owned = slices.Compact(member.owned)
		twoSteps = twoSteps || member.info.TwoSteps
		rules.Standbys = max(rules.Standbys, member.info.Standbys)
		members = append(members, member)
		joined[m.MemberID] = m
	})
	slices.SortFunc(members, func(a, b *groupMember) int { return cmp.Compare(a.id, b.id) })
	plan := plannedGroup{BalancePlan: balancer.NewPlan(), own: make(map[string]assignment.Placement), members: make(map[string]assignment.Placement)}
	all := members
	members, plan.refused = agreeing(members)
	// Topics that only refused members read must not disturb the others.
	topics = maps.Clone(topics)
	maps.DeleteFunc(topics, func(topic string, _ int32) bool {
		return !slices.ContainsFunc(members, func(m *groupMember) bool { return slices.Contains(m.topics, topic) })
	})
	if err := b.checkSizes(topics); err != nil {
		balancer.SetError(err)
		return nil
	}
	for _, n := range topics {
		rules.Partitions = max(rules.Partitions, n)
	}
	plan.topics = slices.Sorted(maps.Keys(topics))
	for i, placement := range place(members, rules) {
		m := members[i]
		plan.own[m.id] = placement
		plan.members[m.info.Address] = placement.Merge(plan.members[m.info.Address])
		given := placement.Active
		if twoSteps {
			given = slices.DeleteFunc(slices.Clone(given), func(p int32) bool { return m.waitsFor(p, all) })
		}
		for topic, n := range topics {
			if slices.Contains(m.topics, topic) {
				plan.AddPartitions(joined[m.id], topic, below(given, n))
			}
		}
	}
	return plan
}

// place returns the placement of each member.
func place(members []*groupMember, rules assignment.Rules) []assignment.Placement {
	given := make([]assignment.Member, len(members))
	for i, m := range members {
		given[i] = assignment.Member{
			ID: m.id, Rack: m.rack, Leaving: m.info.Leaving, Owned: m.owned, Generation: m.generation, Held: m.info.Held,
		}
	}
	return assignment.Place(given, rules)
}

// waitsFor reports whether another member must give up a partition before this member may have it, if partitions move
// in two steps. The partition counts for any topic, even for a topic that this member does not read.
func (m *groupMember) waitsFor(partition int32, members []*groupMember) bool {
	if slices.Contains(m.owned, partition) {
		return false
	}
	return slices.ContainsFunc(members, func(other *groupMember) bool {
		return other != m && slices.Contains(other.owned, partition)
	})
}

// below returns those partitions that a topic with n partitions has. partitions is in order.
func below(partitions []int32, n int32) []int32 {
	i, _ := slices.BinarySearch(partitions, n)
	return partitions[:i]
}

// checkSizes returns an error unless the topics have the same number of partitions, or the numbers that they had when
// this member subscribed. Topics that only other members know were checked by those members, and deleted topics have no
// partitions.
func (b *copartitioned) checkSizes(topics map[string]int32) error {
	b.mu.Lock()
	known := b.mu.expected
	b.mu.Unlock()
	var sizes []string
	even, evenBefore, same := true, true, true
	first, before := int32(0), int32(0)
	for _, topic := range slices.Sorted(maps.Keys(topics)) {
		n, expected := topics[topic], known[topic]
		if n == 0 || known != nil && expected == 0 {
			continue // deleted, or only others know it
		}
		sizes = append(sizes, fmt.Sprintf("%s has %d partitions", topic, n))
		even, evenBefore = even && (first == 0 || n == first), evenBefore && (before == 0 || expected == before)
		first, before = n, expected
		same = same && n == expected
	}
	switch {
	case same, even && evenBefore:
		return nil
	case evenBefore:
		return fmt.Errorf("%w: %s; give all of them as many", ErrUneven, strings.Join(sizes, ", "))
	default:
		return fmt.Errorf("%w: %s, and not all had as many when this instance started; start it again", ErrUneven, strings.Join(sizes, ", "))
	}
}

// agreeing returns the members that run the same topology as the members that have the tasks. It also returns the
// reasons for refusing the others, which would continue with state that their topology does not know. If no member has
// a task, the most common topology counts.
func agreeing(members []*groupMember) (agreeing []*groupMember, refused map[string]string) {
	type votes struct{ tasks, members int }
	by := make(map[string]votes)
	for _, m := range members {
		v := by[m.info.Topology]
		by[m.info.Topology] = votes{v.tasks + len(m.owned), v.members + 1}
	}
	if len(by) <= 1 {
		return members, nil
	}
	winner := slices.MaxFunc(slices.Sorted(maps.Keys(by)), func(a, b string) int {
		return cmp.Or(cmp.Compare(by[a].tasks, by[b].tasks), cmp.Compare(by[a].members, by[b].members))
	})
	var example string
	for _, m := range members {
		if m.info.Topology == winner {
			agreeing = append(agreeing, m)
			example = m.info.Address
		}
	}
	refused = make(map[string]string)
	for _, m := range members {
		if m.info.Topology != winner {
			refused[m.id] = fmt.Sprintf("its other instances, such as %s, read other topics or keep other stores (they run topology %s, this one %s); "+
				"stop them before this one starts, or give this application a name of its own", example, winner, m.info.Topology)
		}
	}
	return agreeing, refused
}

// plannedGroup adds the whole plan to every member's assignment.
type plannedGroup struct {
	*kgo.BalancePlan
	own     map[string]assignment.Placement // by member id
	members map[string]assignment.Placement // by address
	refused map[string]string               // reasons, by member id
	topics  []string
}

func (p plannedGroup) IntoSyncAssignment() []kmsg.SyncGroupRequestGroupAssignment {
	assignments := p.BalancePlan.IntoSyncAssignment()
	for i := range assignments {
		var a kmsg.ConsumerMemberAssignment
		err := a.ReadFrom(assignments[i].MemberAssignment)
		if err == nil {
			id := assignments[i].MemberID
			a.UserData, err = json.Marshal(groupPlan{Members: p.members, Own: p.own[id], Refused: p.refused[id], Topics: p.topics})
		}
		if err != nil {
			panic(fmt.Sprintf("broker: the plan of a group cannot be encoded: %v", err)) // we have just made it
		}
		assignments[i].MemberAssignment = a.AppendTo(nil)
	}
	return assignments
}
