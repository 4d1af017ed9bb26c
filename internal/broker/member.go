package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/internal/assignment"
)

// MemberConfig says which group to join, and has the callbacks.
type MemberConfig struct {
	Client *Client
	// Group is the consumer group, the same as goka's group.
	Group string
	// Topics are the group's inputs. They must have the same number of partitions, unless Partitions gives the number
	// of each. The owner of a partition of the group gets that partition of every topic that has it and that the owner
	// reads, see Subscribe.
	Topics     []string
	Partitions map[string]int32
	// Address is told to all members, "" if this member serves no requests.
	Address string
	// InstanceID makes the member a static one (KIP-345): the group keeps its partitions for it while it restarts, as
	// long as the session lasts. A member with "" gives them up when it leaves.
	InstanceID string
	// SessionTimeout is how long a silent member keeps its partitions; 0 means DefaultSessionTimeout.
	SessionTimeout time.Duration
	// Topology is the fingerprint of the topology that this member runs. The group refuses members that run another
	// one.
	Topology string
	// Standbys is how many copies of each partition's state the group keeps, besides the owner's copy.
	Standbys int
	// AcceptableLag is how many changelog offsets a copy may lag behind and still be ready to take over at once.
	AcceptableLag int64
	// MaxWarmups bounds the copies that the group warms up at a time.
	MaxWarmups int
	// TwoSteps makes the group take a partition from one member before it gives it to another (KIP-429). Otherwise both
	// may have it for a moment, which is safe only with transactions.
	TwoSteps bool
	// Held returns the changelog offsets that the state on this instance reflects, by partition. Nil means that the
	// group has no state, so that all instances are equally suited.
	Held func() map[int32]int64
	// Planned is called with the placement of this member, after each rebalance and before anything is assigned or
	// revoked. The member waits for it, so it may wait for local work only, such as files that are closed and opened,
	// and never for a broker or for the group.
	Planned func(assignment.Placement)
	// Assigned is called with partitions that this member should work on from now on.
	Assigned func(partitions []int32)
	// Revoked is called with partitions that this member must give up. The group waits until it returns.
	Revoked func(partitions []int32)
	// Lost is called with partitions that the group has already given to others.
	Lost func(partitions []int32)
	// Read is called after each rebalance with the topics that any member reads, in order. It must not block.
	Read func(topics []string)
	// Accepted is called after each rebalance that does not refuse this member, before anything is assigned.
	Accepted func()
	// Denied is called when the broker does not allow this program to join the group, or when the group cannot be
	// planned (ErrUneven). The member keeps trying.
	Denied func(error)
	// Refused is called when the group gives this member no partitions, because the members that have the tasks run
	// another topology.
	Refused func(error)
	// Replaced is called when another member has joined with the same InstanceID. The group works with that member.
	Replaced func(error)
}

// minRebalanceTimeout gives a member with a very short session the time to commit before it gives up its tasks.
const minRebalanceTimeout = 3 * time.Second

// DefaultSessionTimeout is how long the group waits for a member that does not answer before others take its tasks.
const DefaultSessionTimeout = 10 * time.Second

// maxHeartbeatInterval bounds how late a member learns of a rebalance. Since the members wait for each other, it also
// bounds how long a task takes to move.
const maxHeartbeatInterval = 300 * time.Millisecond

// Member is this instance's membership of a consumer group. It only learns which member should own which partition: it
// reads and commits nothing. The fenced Writer ensures that there is only one owner.
type Member struct {
	kafka    *kgo.Client
	plan     *copartitioned
	instance *string // id of a static member
	leaving  atomic.Bool
	held     heldPartitions
}

// JoinGroup joins. The callbacks run on the member's own goroutine until Leave has returned.
func JoinGroup(cfg MemberConfig) (*Member, error) {
	cfg.SessionTimeout = cmp.Or(cfg.SessionTimeout, DefaultSessionTimeout)
	m := &Member{}
	type update func(map[string][]int32) []int32 // of m.held
	notify := func(update update, callback func([]int32)) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			if ps := update(partitions); len(ps) > 0 {
				callback(ps)
			}
		}
	}
	m.plan = &copartitioned{
		rack: cfg.Client.Rack(), planned: cfg.Planned, accepted: cfg.Accepted, read: cfg.Read,
		rules: assignment.Rules{Standbys: cfg.Standbys, AcceptableLag: cfg.AcceptableLag, MaxWarmups: cfg.MaxWarmups},
		refused: func(reason string) {
			if cfg.Refused != nil {
				cfg.Refused(fmt.Errorf("join group %s: %s", cfg.Group, reason))
			}
		},
		info: func() memberInfo {
			info := memberInfo{
				Address: cfg.Address, Topology: cfg.Topology, Standbys: cfg.Standbys, TwoSteps: cfg.TwoSteps, Leaving: m.leaving.Load(),
			}
			if cfg.Held != nil {
				info.Held = cfg.Held()
			}
			return info
		},
	}
	m.plan.expect(cfg.Partitions)
	opts := append(cfg.Client.Options(),
		kgo.ConsumerGroup(cfg.Group),
		kgo.ConsumeTopics(cfg.Topics...),
		kgo.DisableAutoCommit(),
		kgo.SessionTimeout(cfg.SessionTimeout),
		kgo.HeartbeatInterval(min(cfg.SessionTimeout/5, maxHeartbeatInterval)),
		// If a member takes longer than the session timeout to give up its tasks, it loses them, like a silent member.
		// The fence makes that safe, and the others need not wait for it.
		kgo.RebalanceTimeout(max(cfg.SessionTimeout, minRebalanceTimeout)),
		kgo.Balancers(m.plan),
		kgo.MetadataMinAge(metadataMinAge),
		kgo.MetadataMaxAge(cfg.SessionTimeout), // so that new partitions of a topic are noticed soon, not after minutes
		kgo.OnPartitionsAssigned(notify(m.held.add, cfg.Assigned)),
		kgo.OnPartitionsRevoked(notify(m.held.remove, cfg.Revoked)),
		kgo.OnPartitionsLost(notify(m.held.remove, cfg.Lost)),
		kgo.WithHooks(membershipErrors{cfg}),
	)
	if cfg.InstanceID != "" {
		opts = append(opts, kgo.InstanceID(cfg.InstanceID))
		m.instance = &cfg.InstanceID
	}
	var err error
	if m.kafka, err = kgo.NewClient(opts...); err != nil {
		return nil, fmt.Errorf("join group %s: %w", cfg.Group, err)
	}
	// Records are read by the fetcher, from offsets that were read after the takeover.
	m.kafka.PauseFetchTopics(cfg.Topics...)
	return m, nil
}

// membershipErrors receives the errors that end a session with the group. franz-go begins a new session after a while,
// but after a denial, or after a second member with the same name has joined, this member never works again, and
// nothing else would report it.
type membershipErrors struct{ cfg MemberConfig }

var _ kgo.HookGroupManageError = membershipErrors{}

// OnGroupManageError implements kgo.HookGroupManageError.
func (m membershipErrors) OnGroupManageError(err error) {
	switch {
	case m.cfg.Denied != nil && errors.Is(err, ErrUneven):
		m.cfg.Denied(fmt.Errorf("join group %s: %w", m.cfg.Group, err))
	case m.cfg.Denied != nil && IsDenied(err):
		m.cfg.Denied(fmt.Errorf("join group %s: %w", m.cfg.Group,
			m.cfg.Client.denied(err, "Read", fmt.Sprintf("group %s and on topic %s", m.cfg.Group, strings.Join(m.cfg.Topics, ", topic ")))))
	case m.cfg.Replaced != nil && errors.Is(err, kerr.FencedInstanceID):
		m.cfg.Replaced(fmt.Errorf("group %s: another process has joined with the instance id %q: %w; "+
			"give each instance an id of its own, and stop one that is to be replaced", m.cfg.Group, m.cfg.InstanceID, err))
	}
}

// Members returns the placement of each member in the last plan, by the member's address.
func (m *Member) Members() map[string]assignment.Placement { return m.plan.members() }

// Membership returns the identity under which this member commits offsets now. Safe for concurrent use.
func (m *Member) Membership() Membership {
	id, generation := m.kafka.GroupMetadata()
	return Membership{Member: id, Generation: generation, Instance: m.instance}
}

// Rejoin starts a rebalance, so that the group gets the current description of this member. No member stops working.
func (m *Member) Rejoin() { m.kafka.ForceRebalance() }

// Subscribe replaces the topics of the group that this member reads, and their numbers of partitions, see MemberConfig.
// It starts a rebalance in which no member has to give up a partition that the remaining topics have. While members
// read different topics, each gets the partitions of the topics that it reads itself.
func (m *Member) Subscribe(topics []string, partitions map[string]int32) {
	m.plan.expect(partitions)
	before := m.kafka.GetConsumeTopics()
	added := slices.DeleteFunc(slices.Clone(topics), func(topic string) bool { return slices.Contains(before, topic) })
	removed := slices.DeleteFunc(before, func(topic string) bool { return slices.Contains(topics, topic) })
	m.kafka.PauseFetchTopics(added...)
	m.kafka.AddConsumeTopics(added...)
	m.kafka.PurgeTopicsFromClient(removed...) // a topic that comes back has another id
}

// HandOver asks the group to give this member's partitions to others, which take them over while it still works on
// them; Revoked is called when they do. A partition that no other member could take over at once stays until one has
// warmed up. Leave ends the membership.
func (m *Member) HandOver() {
	m.leaving.Store(true)
	m.Rejoin()
}

// Leave leaves the group at once, so that the others need not wait for the session timeout; a static member stays in
// the group as long as its session lasts. Revoked is called for the partitions that this member still had.
func (m *Member) Leave(ctx context.Context) error {
	err := m.kafka.LeaveGroupContext(ctx)
	m.kafka.Close()
	if err != nil {
		return fmt.Errorf("leave group: %w", err)
	}
	return nil
}
