package broker

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// MemberConfig says which group to join and who wants to know what comes of it.
type MemberConfig struct {
	Client *Client
	// Group is the consumer group, the same as goka's group.
	Group string
	// Topics are the group's inputs. They must have the same number of partitions.
	Topics []string
	// Address is told to all members, "" if this one serves nobody.
	Address string
	// SessionTimeout is how long a silent member keeps its partitions; 0 means DefaultSessionTimeout.
	SessionTimeout time.Duration
	// Assigned is called with partitions this member should work on from now on.
	Assigned func(partitions []int32)
	// Revoked is called with partitions this member must give up. The group waits for it to return.
	Revoked func(partitions []int32)
	// Lost is called with partitions that were given to others already.
	Lost func(partitions []int32)
	// Denied is called when the broker does not allow this program to be in the group. The member keeps trying.
	Denied func(error)
}

// minRebalanceTimeout leaves a member with a very short session the time to commit what it gives up.
const minRebalanceTimeout = 3 * time.Second

// DefaultSessionTimeout is how long the group waits for a member that does not answer before others take its tasks.
const DefaultSessionTimeout = 10 * time.Second

// Member is this instance's place in a consumer group. It only says who should own which partition: it reads nothing
// and commits nothing. That an owner really is the only one is the fenced writer's business.
type Member struct {
	kafka *kgo.Client
	plan  *copartitioned
}

// JoinGroup joins. The callbacks run on the member's own goroutine until Leave has returned.
func JoinGroup(cfg MemberConfig) (*Member, error) {
	if cfg.SessionTimeout == 0 {
		cfg.SessionTimeout = DefaultSessionTimeout
	}
	lead := cfg.Topics[0]
	told := func(tell func([]int32)) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			// All topics are planned alike, so one of them tells it all.
			if ps := partitions[lead]; len(ps) > 0 {
				tell(ps)
			}
		}
	}
	plan := &copartitioned{address: cfg.Address}
	opts := append(cfg.Client.Options(),
		kgo.ConsumerGroup(cfg.Group),
		kgo.ConsumeTopics(cfg.Topics...),
		kgo.DisableAutoCommit(),
		kgo.SessionTimeout(cfg.SessionTimeout),
		kgo.HeartbeatInterval(cfg.SessionTimeout/5),
		// Whoever does not give up its tasks in the time in which a silent member would lose them, loses them, too: the
		// fence makes that safe, and nobody else has to wait for it.
		kgo.RebalanceTimeout(max(cfg.SessionTimeout, minRebalanceTimeout)),
		kgo.Balancers(plan),
		kgo.MetadataMinAge(metadataMinAge),
		kgo.OnPartitionsAssigned(told(cfg.Assigned)),
		kgo.OnPartitionsRevoked(told(cfg.Revoked)),
		kgo.OnPartitionsLost(told(cfg.Lost)),
		kgo.WithHooks(membershipErrors{cfg}),
	)
	kafka, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("join group %s: %w", cfg.Group, err)
	}
	// Records are read by the fetcher, from offsets that were read after the takeover.
	kafka.PauseFetchTopics(cfg.Topics...)
	return &Member{kafka: kafka, plan: plan}, nil
}

// membershipErrors hears what ends a session with the group. franz-go begins a new one after a while; only of a denial
// nothing else would be heard, since the member never gets to work.
type membershipErrors struct{ cfg MemberConfig }

var _ kgo.HookGroupManageError = membershipErrors{}

// OnGroupManageError implements kgo.HookGroupManageError.
func (m membershipErrors) OnGroupManageError(err error) {
	if m.cfg.Denied != nil && isDenial(err) {
		m.cfg.Denied(fmt.Errorf("join group %s: %w", m.cfg.Group,
			m.cfg.Client.denied(err, "Read", fmt.Sprintf("group %s and on topic %s", m.cfg.Group, strings.Join(m.cfg.Topics, ", topic ")))))
	}
}

// Members returns which partitions each member had in the last plan, by the member's address.
func (m *Member) Members() map[string][]int32 { return m.plan.members() }

// Leave leaves the group at once, so that others need not wait for the session timeout. Revoked is called for what
// this member still had.
func (m *Member) Leave(ctx context.Context) error {
	err := m.kafka.LeaveGroupContext(ctx)
	m.kafka.Close()
	if err != nil {
		return fmt.Errorf("leave group: %w", err)
	}
	return nil
}

// addresses guards what the last plan said.
type addresses struct {
	sync.Mutex
	partitions map[string][]int32
}
