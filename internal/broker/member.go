package broker

import (
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

// MemberConfig says which group to join and who wants to know what comes of it.
type MemberConfig struct {
	Client *Client
	// Group is the consumer group, the same as goka's group.
	Group string
	// Topics are the group's inputs. They must have the same number of partitions, unless Partitions says otherwise: whoever
	// has a partition of the group gets it of every topic that has it, and that it reads: see Subscribe.
	Topics     []string
	Partitions map[string]int32
	// Address is told to all members, "" if this one serves nobody.
	Address string
	// InstanceID makes the member a static one (KIP-345): the group keeps its partitions for it while it restarts, for
	// as long as the session lasts. "" means a member that gives them up when it leaves.
	InstanceID string
	// SessionTimeout is how long a silent member keeps its partitions; 0 means DefaultSessionTimeout.
	SessionTimeout time.Duration
	// Topology identifies what this member runs. Members that run something else are not in the same group for long.
	Topology string
	// Standbys is how many copies of the state of each partition the group keeps besides that of the owner.
	Standbys int
	// AcceptableLag is how many changelog offsets a copy may lack and still take over at once.
	AcceptableLag int64
	// MaxWarmups bounds the copies that the group warms up at a time.
	MaxWarmups int
	// TwoSteps makes the group take a partition from one member before it gives it to another (KIP-429). Without it both
	// may have it for a moment, which only transactions make safe.
	TwoSteps bool
	// Held returns the changelog offsets that the state on this instance reflects, by partition. nil means that there
	// is no state that would make one instance better than another.
	Held func() map[int32]int64
	// Planned is called with what this member is to do, after each rebalance and before anything of it is assigned or
	// revoked. It must not block.
	Planned func(assignment.Placement)
	// Assigned is called with partitions this member should work on from now on.
	Assigned func(partitions []int32)
	// Revoked is called with partitions this member must give up. The group waits for it to return.
	Revoked func(partitions []int32)
	// Lost is called with partitions that were given to others already.
	Lost func(partitions []int32)
	// Read is called after each rebalance with the topics that any member reads, in order. It must not block.
	Read func(topics []string)
	// Accepted is called after each rebalance that does not refuse this member, before anything is assigned.
	Accepted func()
	// Denied is called when the broker does not allow this program to be in the group, or when the group cannot be
	// planned (ErrUneven). The member keeps trying.
	Denied func(error)
	// Refused is called when the group gives this member nothing, since those that have the tasks run another topology.
	Refused func(error)
	// Replaced is called when another member has come with the same InstanceID. The group works with that one.
	Replaced func(error)
}

// minRebalanceTimeout leaves a member with a very short session the time to commit what it gives up.
const minRebalanceTimeout = 3 * time.Second

// DefaultSessionTimeout is how long the group waits for a member that does not answer before others take its tasks.
const DefaultSessionTimeout = 10 * time.Second

// maxHeartbeatInterval bounds how late a member hears that the group is being planned anew. Members wait for each other
// then, so that it bounds how long whatever is to move takes to move.
const maxHeartbeatInterval = 300 * time.Millisecond

// Member is this instance's place in a consumer group. It only says who should own which partition: it reads nothing
// and commits nothing. That an owner really is the only one is the fenced writer's business.
type Member struct {
	kafka    *kgo.Client
	plan     *copartitioned
	instance *string // id of a static member
	leaving  atomic.Bool
	holds    heldPartitions
}

// JoinGroup joins. The callbacks run on the member's own goroutine until Leave has returned.
func JoinGroup(cfg MemberConfig) (*Member, error) {
	if cfg.SessionTimeout == 0 {
		cfg.SessionTimeout = DefaultSessionTimeout
	}
	m := &Member{}
	type change func(map[string][]int32) []int32 // of what it holds
	told := func(change change, tell func([]int32)) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			if ps := change(partitions); len(ps) > 0 {
				tell(ps)
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
		// Whoever does not give up its tasks in the time in which a silent member would lose them, loses them, too: the
		// fence makes that safe, and nobody else has to wait for it.
		kgo.RebalanceTimeout(max(cfg.SessionTimeout, minRebalanceTimeout)),
		kgo.Balancers(m.plan),
		kgo.MetadataMinAge(metadataMinAge),
		kgo.MetadataMaxAge(cfg.SessionTimeout), // a topic that gets more partitions is seen soon, not after minutes
		kgo.OnPartitionsAssigned(told(m.holds.add, cfg.Assigned)),
		kgo.OnPartitionsRevoked(told(m.holds.remove, cfg.Revoked)),
		kgo.OnPartitionsLost(told(m.holds.remove, cfg.Lost)),
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

// membershipErrors hears what ends a session with the group. franz-go begins a new one after a while; only of a denial
// and of a second member with the same name nothing else would be heard, since the member never gets to work again.
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

// Members returns what each member is to do by the last plan, by the member's address.
func (m *Member) Members() map[string]assignment.Placement { return m.plan.members() }

// Membership returns the identity under which this member commits offsets at this moment. Safe for concurrent use.
func (m *Member) Membership() Membership {
	id, generation := m.kafka.GroupMetadata()
	return Membership{Member: id, Generation: generation, Instance: m.instance}
}

// Rejoin has the group planned anew, since this member has something new to tell. Nobody stops working for it.
func (m *Member) Rejoin() { m.kafka.ForceRebalance() }

// Subscribe replaces the topics of the group that this member reads, and their numbers of partitions: see MemberConfig. The group is
// planned anew and nobody has to give up a partition that the remaining topics have. As long as other members read other topics,
// each gets those that it reads itself.
func (m *Member) Subscribe(topics []string, partitions map[string]int32) {
	m.plan.expect(partitions)
	before := m.kafka.GetConsumeTopics()
	added := slices.DeleteFunc(slices.Clone(topics), func(topic string) bool { return slices.Contains(before, topic) })
	removed := slices.DeleteFunc(before, func(topic string) bool { return slices.Contains(topics, topic) })
	m.kafka.PauseFetchTopics(added...)
	m.kafka.AddConsumeTopics(added...)
	m.kafka.PurgeTopicsFromClient(removed...) // one that comes again is another one
}

// HandOver asks the group to give this member's partitions to others, who take them over while it still works on them:
// Revoked is called when they do. What nobody could take over at once stays until somebody has warmed up. Leave ends
// the membership.
func (m *Member) HandOver() {
	m.leaving.Store(true)
	m.Rejoin()
}

// Leave leaves the group at once, so that others need not wait for the session timeout; a static member stays in it for
// as long as its session lasts. Revoked is called for what this member still had.
func (m *Member) Leave(ctx context.Context) error {
	err := m.kafka.LeaveGroupContext(ctx)
	m.kafka.Close()
	if err != nil {
		return fmt.Errorf("leave group: %w", err)
	}
	return nil
}
