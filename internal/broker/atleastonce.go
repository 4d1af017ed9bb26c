package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed84377926/millrace/state"
)

// Membership is the identity under which a writer that works at least once commits offsets. The group coordinator
// accepts them only from a member of the present generation, so that an owner that the group has given up on can no
// longer move them.
//
// It is not as strong as the fence of a transaction: the coordinator guards the offsets, but nobody guards the topics.
// What such an owner sends after the group gave its partition away stays in them: outputs for a second time, which at
// least once allows, and rows of the changelog, which would take the table back to an older state. Against the latter
// the member's session is a lease ([Writer.Confirm]): rows are sent only after the coordinator has confirmed the
// membership, and not later than the session timeout after that, within which the group gives the partition to
// nobody else.
type Membership struct {
	// Member and Generation are those of the group, "" and -1 while this instance is not in it.
	Member     string
	Generation int32
	// Instance is the id of a static member, nil for others.
	Instance *string
}

// Confirm is called before the rows of a commit are produced. It makes sure that the member still is in the group and
// grants the records that follow the time for which that holds. In a transaction it does nothing: the broker
// checks at the end.
func (w *Writer) Confirm(ctx context.Context) error {
	if w.cfg.Membership == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, w.lasts())
	defer cancel()
	asked := time.Now()
	if len(w.unmarked) > 0 {
		// The state is about to get ahead of these offsets: from here on they may lag behind it.
		if err := w.commitAsMember(ctx, w.unmarked); err != nil {
			return fmt.Errorf("mark the offsets of group %s: %w", w.cfg.Group, w.client.denied(err, "Read", "this group and its topics"))
		}
		w.unmarked = nil
	}
	err := w.asMember(ctx, func(m Membership) error {
		asked = time.Now()
		req := kmsg.NewPtrHeartbeatRequest()
		req.Group, req.MemberID, req.Generation, req.InstanceID = w.cfg.Group, m.Member, m.Generation, m.Instance
		resp, err := req.RequestWith(ctx, w.kafka)
		if err != nil {
			return err
		}
		err = kerr.ErrorForCode(resp.ErrorCode)
		if errors.Is(err, kerr.RebalanceInProgress) {
			return nil // a member that should join again, but a member
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("confirm the membership of group %s: %w", w.cfg.Group, w.client.denied(err, "Read", "this group"))
	}
	w.lease = leased{w.alive, asked.Add(w.lasts())}
	return nil
}

// leased is the context of records that may be sent until a certain time. It looks at the clock instead of waiting for a timer: a
// process that was stopped must not send, when it goes on, what should have been sent long ago, and its timers run in any
// order then. The client looks at the context of a batch just before it writes it.
type leased struct {
	context.Context //nolint:containedctx // it is one

	until time.Time
}

// Done implements context.Context.
func (l leased) Done() <-chan struct{} {
	if l.over() {
		return closedChannel()
	}
	return l.Context.Done()
}

// Err implements context.Context.
func (l leased) Err() error {
	if l.over() {
		return errLeaseOver
	}
	return l.Context.Err()
}

func (l leased) over() bool { return !time.Now().Before(l.until) }

func closedChannel() <-chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}

var errLeaseOver = errors.New("the group has not confirmed the membership for the length of a session")

// atLeastOnceMark is the metadata of offsets that were committed at least once. Between the position record of a commit and its
// offsets there may have been a crash, so that the state may be ahead of such offsets; and an owner that wrote after the next
// one had begun leaves a state that is behind them.
const atLeastOnceMark = "millrace: at least once"

// MayDiffer says whether the offset that Committed returned for topic was committed at least once: then the table's own
// position counts. Offsets that a transaction has committed agree with the table.
func (w *Writer) MayDiffer(topic string) bool { return w.marked[topic] }

// Barrier makes sure that everything produced before it is acknowledged when anything produced after it is sent. In a
// transaction it does nothing: all of it becomes visible at once.
func (w *Writer) Barrier(ctx context.Context) error {
	if w.cfg.Membership == nil {
		return nil
	}
	ctx, cancel := w.bound(ctx)
	defer cancel()
	return w.timedOut(ctx, w.Flush(ctx))
}

func (w *Writer) lasts() time.Duration {
	if w.cfg.Lease == 0 {
		return DefaultSessionTimeout
	}
	return w.cfg.Lease
}

// endTransactional takes the transactional id away from whoever holds it and ends the transaction that it may have open: an
// earlier run of the application may have been exactly once.
func (w *Writer) endTransactional(ctx context.Context) error {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID = &w.cfg.TransactionalID
	req.TransactionTimeoutMillis = int32(w.cfg.Timeout.Milliseconds())
	req.ProducerID, req.ProducerEpoch = -1, -1
	for {
		resp, err := req.RequestWith(ctx, w.client.kafka)
		if err == nil {
			err = kerr.ErrorForCode(resp.ErrorCode)
		}
		if err == nil || !retriableInTransaction(err) {
			return err
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// commitAsMember commits the offsets in the name of the member.
func (w *Writer) commitAsMember(ctx context.Context, offsets state.Offsets) error {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group = w.cfg.Group
	topics := make(map[string]int)
	for tp, offset := range offsets {
		i, ok := topics[tp.Topic]
		if !ok {
			topicID, err := w.topicID(ctx, tp.Topic)
			if err != nil {
				return err
			}
			t := kmsg.NewOffsetCommitRequestTopic()
			t.Topic, t.TopicID = tp.Topic, topicID // from version 10 on the request carries the id only (KIP-848)
			i = len(req.Topics)
			topics[tp.Topic] = i
			req.Topics = append(req.Topics, t)
		}
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.Metadata = tp.Partition, offset, new(atLeastOnceMark)
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, p)
	}
	return w.asMember(ctx, func(m Membership) error {
		req.MemberID, req.Generation, req.InstanceID = m.Member, m.Generation, m.Instance
		resp, err := req.RequestWith(ctx, w.kafka)
		if err != nil {
			return err
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// asMember calls ask with the present membership until the coordinator has answered it for good. A rebalance has moments in
// which the coordinator takes no offsets or the client is about to learn of a new generation; a member that stays in the
// group gets through them, and one that does not is fenced.
//
// The membership may be read at any time: a task that still works has not been taken away, since the group waits for
// the end of the tasks that it takes away before it counts this member as one of the next generation.
func (w *Writer) asMember(ctx context.Context, ask func(Membership) error) error {
	for {
		m := w.cfg.Membership()
		if m.Member == "" {
			return fmt.Errorf("%w (this instance is not in the group)", ErrFenced)
		}
		err := ask(m)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, kerr.RebalanceInProgress), retriableInTransaction(err):
		case errors.Is(err, kerr.IllegalGeneration) && w.cfg.Membership().Generation != m.Generation:
		case errors.Is(err, kerr.UnknownMemberID), errors.Is(err, kerr.IllegalGeneration), errors.Is(err, kerr.FencedInstanceID):
			return fmt.Errorf("%w (%w)", ErrFenced, err)
		default:
			return err
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
}
