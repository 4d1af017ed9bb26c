package assignment

import (
	"cmp"
	"slices"
)

// Member is a member of a group as its leader sees it.
type Member struct {
	// ID is the broker's id of the member.
	ID string
	// Rack is where the member runs, "" if that is not known.
	Rack string
	// Leaving says that the member wants to give up everything it has.
	Leaving bool
	// Owned are the partitions that the member works on, by its own account. Of two members that claim the same
	// partition, the one with the later Generation counts.
	Owned      []int32
	Generation int32
	// Held are the changelog offsets that the member's copies of the state reflect, by partition.
	Held map[int32]int64
}

// Placement is what one member of a group is to do. The slices are in order.
type Placement struct {
	// Active are the partitions that it works on.
	Active []int32 `json:"active,omitempty"`
	// Standby are the partitions of which it keeps a copy of the state, to take over at once.
	Standby []int32 `json:"standby,omitempty"`
	// Warmup are the partitions that it will work on as soon as it has their state. Until then others do.
	Warmup []int32 `json:"warmup,omitempty"`
	// Leaving says that it gives up what it has as soon as another member can take it.
	Leaving bool `json:"leaving,omitempty"`
}

// Has reports whether the placement has a copy of the partition in any role.
func (p Placement) Has(partition int32) bool {
	return slices.Contains(p.Active, partition) || slices.Contains(p.Standby, partition) || slices.Contains(p.Warmup, partition)
}

// Merge returns the partitions of both placements, Leaving as in p.
func (p Placement) Merge(other Placement) Placement {
	merge := func(a, b []int32) []int32 {
		all := slices.Concat(a, b)
		slices.Sort(all)
		return all
	}
	return Placement{
		Active: merge(p.Active, other.Active), Standby: merge(p.Standby, other.Standby), Warmup: merge(p.Warmup, other.Warmup),
		Leaving: p.Leaving,
	}
}

// Rules are the bounds that an assignment keeps.
type Rules struct {
	// Partitions is the number of partitions of the group.
	Partitions int32
	// Standbys is how many copies each partition has besides the active one, if there are enough members.
	Standbys int
	// AcceptableLag is how many changelog offsets a copy may lack and still take over at once.
	AcceptableLag int64
	// MaxWarmups bounds the copies that are warmed up at a time, in the whole group.
	MaxWarmups int
}

// Place returns the placement of each member, in the order of members, which it does not change.
func Place(members []Member, rules Rules) []Placement {
	p := newPlacer(members, rules)
	if len(p.staying) == 0 {
		p.staying = p.members // all leave at once: the last one keeps working
	}
	p.setQuotas()
	targets := p.targets()
	var warmups []candidate
	for partition := range rules.Partitions {
		active := p.activeNow(partition, targets[partition])
		active.placement.Active = append(active.placement.Active, partition)
		active.load++
		if active != targets[partition] {
			warmups = append(warmups, candidate{partition, targets[partition]})
		}
	}
	p.placeWarmups(warmups)
	p.placeStandbys()
	placements := make([]Placement, len(members))
	for _, m := range p.members {
		placements[m.index] = m.placement
	}
	return placements
}

// member is a Member while it is being placed.
type member struct {
	Member
	index     int // in the members of Place
	quota     int // number of active tasks, of the target
	load      int // active tasks placed so far
	placement Placement
}

// candidate is one partition at one member.
type candidate struct {
	partition int32
	member    *member
}

type placer struct {
	Rules
	members []*member
	staying []*member // not leaving
	owners  []*member // by partition, nil if nobody has it
	newest  []int64   // by partition: the offset that the best copy reflects, -1 if there is none
}

func newPlacer(members []Member, rules Rules) *placer {
	p := &placer{Rules: rules, owners: make([]*member, rules.Partitions), newest: make([]int64, rules.Partitions)}
	for i, m := range members {
		p.members = append(p.members, &member{Member: m, index: i, placement: Placement{Leaving: m.Leaving}})
	}
	slices.SortFunc(p.members, func(a, b *member) int { return cmp.Compare(a.ID, b.ID) }) // AS3
	for partition := range rules.Partitions {
		p.newest[partition] = -1
	}
	for _, m := range p.members {
		if !m.Leaving {
			p.staying = append(p.staying, m)
		}
		for _, partition := range m.Owned {
			if partition < 0 || partition >= rules.Partitions {
				continue
			}
			if o := p.owners[partition]; o == nil || m.Generation > o.Generation {
				p.owners[partition] = m
			}
		}
		for partition, offset := range m.Held {
			if partition >= 0 && partition < rules.Partitions {
				p.newest[partition] = max(p.newest[partition], offset)
			}
		}
	}
	return p
}

// lag returns how many changelog offsets the member's copy lacks.
func (p *placer) lag(m *member, partition int32) int64 {
	held, ok := m.Held[partition]
	if !ok {
		held = -1
	}
	return p.newest[partition] - held
}

// ready reports whether the member could take the partition over at once.
func (p *placer) ready(m *member, partition int32) bool {
	return p.lag(m, partition) <= p.AcceptableLag
}

// ownedBy returns the partitions that the member owns after conflicting claims are settled.
func (p *placer) ownedBy(m *member) []int32 {
	var owned []int32
	for partition := range p.Partitions {
		if p.owners[partition] == m {
			owned = append(owned, partition)
		}
	}
	return owned
}

// setQuotas gives every staying member the same share, within one. The members that own most get the larger shares, so
// that as few tasks as possible move.
func (p *placer) setQuotas() {
	byOwned := slices.Clone(p.staying)
	slices.SortStableFunc(byOwned, func(a, b *member) int { return cmp.Compare(len(p.ownedBy(b)), len(p.ownedBy(a))) })
	least, larger := int(p.Partitions)/len(byOwned), int(p.Partitions)%len(byOwned)
	for i, m := range byOwned {
		m.quota = least
		if i < larger {
			m.quota++
		}
	}
}

// targets returns the member at which each partition is to be active in the end.
func (p *placer) targets() []*member {
	targets := make([]*member, p.Partitions)
	room := make(map[*member]int)
	for _, m := range p.staying {
		room[m] = m.quota
	}
	var receivers []*member // get more than they have
	for _, m := range p.staying {
		if len(p.ownedBy(m)) < m.quota {
			receivers = append(receivers, m)
		}
	}
	for _, m := range p.staying {
		owned := p.ownedBy(m)
		// An owner that still restores what others have does not keep the partition for being its owner.
		owned = slices.DeleteFunc(owned, func(partition int32) bool { return !p.ready(m, partition) })
		// It gives away what the receivers are readiest for, so that a warm-up that has begun is finished.
		slices.SortStableFunc(owned, func(a, b int32) int { return cmp.Compare(p.leastLag(receivers, b), p.leastLag(receivers, a)) })
		for _, partition := range owned[:min(len(owned), m.quota)] {
			targets[partition] = m
			room[m]--
		}
	}
	var open []candidate
	for partition := range p.Partitions {
		if targets[partition] != nil {
			continue
		}
		for _, m := range p.staying {
			open = append(open, candidate{partition, m})
		}
	}
	// The member with most of the state comes first; among equals the partitions go in turn.
	slices.SortStableFunc(open, p.compareLag)
	for _, o := range open {
		if targets[o.partition] == nil && room[o.member] > 0 {
			targets[o.partition] = o.member
			room[o.member]--
		}
	}
	return targets
}

func (p *placer) compareLag(a, b candidate) int {
	return cmp.Compare(p.lag(a.member, a.partition), p.lag(b.member, b.partition))
}

// leastLag returns the lag of the best copy among members, or one more than all of the log if there is none.
func (p *placer) leastLag(members []*member, partition int32) int64 {
	least := p.newest[partition] + 1
	for _, m := range members {
		least = min(least, p.lag(m, partition))
	}
	return least
}

// activeNow returns the member that works on a partition until its target is ready.
func (p *placer) activeNow(partition int32, target *member) *member {
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

// placeWarmups lets the targets build up the state that they lack, the smallest lags first.
func (p *placer) placeWarmups(wanted []candidate) {
	slices.SortStableFunc(wanted, p.compareLag)
	for _, w := range wanted[:min(len(wanted), p.MaxWarmups)] {
		w.member.placement.Warmup = append(w.member.placement.Warmup, w.partition)
	}
	for _, m := range p.members {
		slices.Sort(m.placement.Warmup)
	}
}

// placeStandbys places the copies: if possible in other racks than the active task and each other, then where there is
// state already, and evenly.
func (p *placer) placeStandbys() {
	copies := min(p.Standbys, len(p.staying)-1)
	if copies <= 0 {
		return
	}
	quota := (int(p.Partitions)*copies + len(p.staying) - 1) / len(p.staying)
	for range copies {
		for partition := range p.Partitions {
			var best *member
			for _, m := range p.staying {
				if m.placement.Has(partition) {
					continue // AS2
				}
				if best == nil || p.betterStandby(m, best, partition, quota) {
					best = m
				}
			}
			if best != nil {
				best.placement.Standby = append(best.placement.Standby, partition)
			}
		}
	}
	for _, m := range p.staying {
		slices.Sort(m.placement.Standby)
	}
}

// betterStandby reports whether a is a better place for a copy than b. quota is the even share of copies.
func (p *placer) betterStandby(a, b *member, partition int32, quota int) bool {
	over := func(m *member) int { return max(0, len(m.placement.Standby)+1-quota) }
	return cmp.Or(
		cmp.Compare(p.copiesInRack(a, partition), p.copiesInRack(b, partition)),
		cmp.Compare(over(a), over(b)),
		cmp.Compare(p.lag(a, partition), p.lag(b, partition)),
		cmp.Compare(len(a.placement.Standby), len(b.placement.Standby)),
	) < 0
}

// copiesInRack counts the copies of a partition that other members in the member's rack have already. A member without
// a rack is in one of its own.
func (p *placer) copiesInRack(m *member, partition int32) (n int) {
	if m.Rack == "" {
		return 0
	}
	for _, other := range p.members {
		if other != m && other.Rack == m.Rack && other.placement.Has(partition) {
			n++
		}
	}
	return n
}
