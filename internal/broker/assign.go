package broker

import (
	"cmp"
	"slices"
)

// groupMember is one member of a group as the leader sees it while it plans.
type groupMember struct {
	id   string // the broker's id of the member
	told memberInfo
	rack string
	// topics are those that it reads.
	topics []string
	// owned are the partitions it works on, by its own account, in order. Of two members that claim the same one
	// the account of the later generation counts.
	owned      []int32
	generation int32

	quota int // of active tasks, of the target
	load  int // active tasks given so far
	plan  Placement
}

// Placement is what one member of a group is to do. The slices are in order.
type Placement struct {
	// Active are the partitions it works on.
	Active []int32 `json:"active,omitempty"`
	// Standby are the partitions of which it keeps a copy of the state, to take over at once.
	Standby []int32 `json:"standby,omitempty"`
	// Warmup are the partitions that it will work on as soon as it has their state. Until then the others do.
	Warmup []int32 `json:"warmup,omitempty"`
	// Leaving says that it gives up what it has as soon as somebody else can take it.
	Leaving bool `json:"leaving,omitempty"`
}

// placing says by which rules tasks are placed.
type placing struct {
	partitions int32
	// standbys is how many copies each partition is to have besides the active one.
	standbys int
	// acceptableLag is how many changelog offsets a copy may lack and still take over at once.
	acceptableLag int64
	// maxWarmups bounds the copies that are warmed up at a time, in the whole group.
	maxWarmups int
}

// place says who does what. The result is in the members' plans.
//
// The target is that all have the same number of active tasks, within one, and as few as possible move: that is as in
// Kafka Streams (KIP-441), and so is what stands between today and the target: a task stays where its state is until
// the target has caught up with it (a warm-up), and a task whose owner is gone goes to whoever has the most of its
// state. Members that are leaving keep their tasks while others warm up, and get no new ones.
//
// Unlike there, a task moves in one step: the new owner gets it with the same plan that takes it from the old one. The
// fence allows that. So it stands still for a takeover, not for a second rebalance.
func place(members []*groupMember, rules placing) {
	p := newPlacer(members, rules)
	if len(p.staying) == 0 {
		p.staying = p.members // all leave at once: who is last keeps on working
	}
	p.setQuotas()
	targets := p.targets()
	var warmups []placement
	for partition := range rules.partitions {
		active := p.activeNow(partition, targets[partition])
		active.plan.Active = append(active.plan.Active, partition)
		active.load++
		if active != targets[partition] {
			warmups = append(warmups, placement{partition, targets[partition]})
		}
	}
	p.warmUp(warmups)
	p.standBy()
}

// placement is one partition at one member.
type placement struct {
	partition int32
	member    *groupMember
}

type placer struct {
	placing
	members []*groupMember
	staying []*groupMember
	owners  []*groupMember // by partition, nil if nobody has it
	most    []int64        // by partition: the state that the best copy reflects, -1 if there is none
}

func newPlacer(members []*groupMember, rules placing) *placer {
	p := &placer{placing: rules, members: members, owners: make([]*groupMember, rules.partitions), most: make([]int64, rules.partitions)}
	slices.SortFunc(members, func(a, b *groupMember) int { return cmp.Compare(a.id, b.id) }) // the same plan from the same facts
	for partition := range rules.partitions {
		p.most[partition] = -1
	}
	for _, m := range members {
		m.plan, m.load, m.quota = Placement{Leaving: m.told.Leaving}, 0, 0
		if !m.told.Leaving {
			p.staying = append(p.staying, m)
		}
		for _, partition := range m.owned {
			if partition < 0 || partition >= rules.partitions {
				continue
			}
			if o := p.owners[partition]; o == nil || m.generation > o.generation {
				p.owners[partition] = m
			}
		}
		for partition, offset := range m.told.Held {
			if partition >= 0 && partition < rules.partitions {
				p.most[partition] = max(p.most[partition], offset)
			}
		}
	}
	return p
}

// lag is how many changelog offsets a member's copy lacks.
func (p *placer) lag(m *groupMember, partition int32) int64 {
	held, ok := m.told.Held[partition]
	if !ok {
		held = -1
	}
	return p.most[partition] - held
}

// ready says whether a member could take a partition over at once.
func (p *placer) ready(m *groupMember, partition int32) bool {
	return p.lag(m, partition) <= p.acceptableLag
}

// ownedBy returns the partitions that a member has, by everybody's account.
func (p *placer) ownedBy(m *groupMember) []int32 {
	var owned []int32
	for partition := range p.partitions {
		if p.owners[partition] == m {
			owned = append(owned, partition)
		}
	}
	return owned
}

// setQuotas gives everyone who stays the same share, within one. Those who have most get the larger shares, so that as
// few as possible move.
func (p *placer) setQuotas() {
	byOwned := slices.Clone(p.staying)
	slices.SortStableFunc(byOwned, func(a, b *groupMember) int { return cmp.Compare(len(p.ownedBy(b)), len(p.ownedBy(a))) })
	least, larger := int(p.partitions)/len(byOwned), int(p.partitions)%len(byOwned)
	for i, m := range byOwned {
		m.quota = least
		if i < larger {
			m.quota++
		}
	}
}

// targets returns where each partition is to be in the end.
func (p *placer) targets() []*groupMember {
	targets := make([]*groupMember, p.partitions)
	room := make(map[*groupMember]int)
	for _, m := range p.staying {
		room[m] = m.quota
	}
	var short []*groupMember // who is to get more than it has
	for _, m := range p.staying {
		if len(p.ownedBy(m)) < m.quota {
			short = append(short, m)
		}
	}
	for _, m := range p.staying {
		owned := p.ownedBy(m)
		// Who is restoring what others have keeps nothing for the sake of having it.
		owned = slices.DeleteFunc(owned, func(partition int32) bool { return !p.ready(m, partition) })
		// It gives away what others are most ready for. A warm-up that has begun goes on that way.
		slices.SortStableFunc(owned, func(a, b int32) int { return cmp.Compare(p.leastLag(short, b), p.leastLag(short, a)) })
		for _, partition := range owned[:min(len(owned), m.quota)] {
			targets[partition] = m
			room[m]--
		}
	}
	var open []placement
	for partition := range p.partitions {
		if targets[partition] != nil {
			continue
		}
		for _, m := range p.staying {
			open = append(open, placement{partition, m})
		}
	}
	// Whoever has most of the state first; among equals partitions in turn.
	slices.SortStableFunc(open, func(a, b placement) int {
		return cmp.Compare(p.lag(a.member, a.partition), p.lag(b.member, b.partition))
	})
	for _, o := range open {
		if targets[o.partition] == nil && room[o.member] > 0 {
			targets[o.partition] = o.member
			room[o.member]--
		}
	}
	return targets
}

func (p *placer) leastLag(members []*groupMember, partition int32) int64 {
	least := p.most[partition] + 1
	for _, m := range members {
		least = min(least, p.lag(m, partition))
	}
	return least
}

// activeNow returns who works on a partition for the time being, given where it is to be in the end.
func (p *placer) activeNow(partition int32, target *groupMember) *groupMember {
	if p.ready(target, partition) {
		return target
	}
	if owner := p.owners[partition]; owner != nil {
		return owner
	}
	best := target
	for _, m := range p.staying {
		if p.ready(m, partition) && (best == target || m.load < best.load) {
			best = m
		}
	}
	return best
}

// warmUp lets the targets build up the state they lack, those first that lack least.
func (p *placer) warmUp(wanted []placement) {
	slices.SortStableFunc(wanted, func(a, b placement) int {
		return cmp.Compare(p.lag(a.member, a.partition), p.lag(b.member, b.partition))
	})
	for _, w := range wanted[:min(len(wanted), p.maxWarmups)] {
		w.member.plan.Warmup = append(w.member.plan.Warmup, w.partition)
	}
	for _, m := range p.members {
		slices.Sort(m.plan.Warmup)
	}
}

// standBy places the copies: in other racks than the active task and each other if that is possible, where there is
// state already, and evenly.
func (p *placer) standBy() {
	copies := min(p.standbys, len(p.staying)-1)
	if copies <= 0 {
		return
	}
	quota := (int(p.partitions)*copies + len(p.staying) - 1) / len(p.staying)
	for range copies {
		for partition := range p.partitions {
			var best *groupMember
			for _, m := range p.staying {
				if m.holds(partition) {
					continue
				}
				if best == nil || p.betterStandby(m, best, partition, quota) {
					best = m
				}
			}
			if best != nil {
				best.plan.Standby = append(best.plan.Standby, partition)
			}
		}
	}
	for _, m := range p.staying {
		slices.Sort(m.plan.Standby)
	}
}

// holds says whether the plan gives the member a copy of the partition in any role.
func (m *groupMember) holds(partition int32) bool {
	return slices.Contains(m.plan.Active, partition) || slices.Contains(m.plan.Standby, partition) || slices.Contains(m.plan.Warmup, partition)
}

func (p *placer) betterStandby(a, b *groupMember, partition int32, quota int) bool {
	over := func(m *groupMember) int { return max(0, len(m.plan.Standby)+1-quota) }
	return cmp.Or(
		cmp.Compare(p.sameRack(a, partition), p.sameRack(b, partition)),
		cmp.Compare(over(a), over(b)),
		cmp.Compare(p.lag(a, partition), p.lag(b, partition)),
		cmp.Compare(len(a.plan.Standby), len(b.plan.Standby)),
	) < 0
}

// sameRack counts the copies of a partition that are placed in the member's rack already. Members without a rack are
// each in one of their own.
func (p *placer) sameRack(m *groupMember, partition int32) (n int) {
	if m.rack == "" {
		return 0
	}
	for _, other := range p.members {
		if other != m && other.rack == m.rack && other.holds(partition) {
			n++
		}
	}
	return n
}
