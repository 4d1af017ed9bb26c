package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed84377926/millrace/state"
)

// Membership is the identity under which a writer that works at least once commits offsets. The group coordinator
// accepts offsets only from a member of the current generation, so an owner that was removed from the group cannot
// change them any more.
//
// This is weaker than the fence of a transaction: the coordinator protects the offsets, but not the topics. If an owner
// sends records after the group gave its partition away, they stay in the topics: duplicate outputs, which at least
// once allows, and rows of the changelog, which would set the table back to an older state. To prevent the latter, the
// member's session is a lease ([Writer.Confirm]): rows are sent only after the coordinator has confirmed the
// membership, and not later than the session timeout after that. Within that time the group gives the partition to
// nobody else.
type Membership struct {
	// Member and Generation identify the member in the group; they are "" and -1 while this instance is not in it.
	Member     string
	Generation int32
	// Instance is the id of a static member, nil for others.
	Instance *string
}

// Confirm is called before the rows of a commit are produced. It checks that the member is still in the group, and
// starts the lease in which the records that follow must be sent. In a transaction it does nothing, since the broker
// checks at the end.
func (w *Writer) Confirm(ctx context.Context) error {
	if w.cfg.Membership == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, w.leaseTime())
	defer cancel()
	asked := time.Now()
	if len(w.unmarked) > 0 {
		// From here on the state may be ahead of these offsets.
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
			return nil // the member must join again, but it is still a member
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("confirm the membership of group %s: %w", w.cfg.Group, w.client.denied(err, "Read", "this group"))
	}
	w.lease = newLease(w.alive, asked, w.leaseTime())
	return nil
}

// leaseContext is the context of records that may be sent until a certain time. It reads the clock instead of using a
// timer: when a process that was stopped continues, its timers fire in any order, and it must not send records of an
// expired lease. The client checks the context of a batch just before it writes the batch.
//
// It reads two clocks, and the lease is over if either says so. The monotonic clock cannot be set, but on Linux it
// stands still while the machine is suspended, and the group does not wait meanwhile. The wall clock goes on, but it
// can be set. If it was set back, it no longer tells how long ago the lease began. A lease that ends too early costs
// one commit, which is repeated.
type leaseContext struct {
	context.Context //nolint:containedctx // it is a context

	began  time.Time // by the monotonic clock
	wall   time.Time // the same by the wall clock
	length time.Duration
}

func newLease(ctx context.Context, began time.Time, length time.Duration) leaseContext {
	return leaseContext{Context: ctx, began: began, wall: began.Round(0), length: length}
}

// Done implements context.Context.
func (l leaseContext) Done() <-chan struct{} {
	if l.over() {
		return closedChannel()
	}
	return l.Context.Done()
}

// Err implements context.Context.
func (l leaseContext) Err() error {
	if l.over() {
		return errLeaseOver
	}
	return l.Context.Err()
}

func (l leaseContext) over() bool {
	now := time.Now()
	wall := now.Round(0).Sub(l.wall)
	return now.Sub(l.began) >= l.length || wall >= l.length || wall < 0
}

func closedChannel() <-chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}

var errLeaseOver = errors.New("the group has not confirmed the membership for the length of a session")

// atLeastOnceMark is the metadata of offsets that were committed at least once. The state may differ from such offsets.
// It is ahead if a crash came between the position record of a commit and its offsets. It is behind if an owner wrote
// after the next owner had begun.
const atLeastOnceMark = "millrace: at least once"

// MayDiffer reports whether the offset that Committed returned for topic was committed at least once. Then the table's
// own position counts. Offsets that a transaction has committed agree with the table.
func (w *Writer) MayDiffer(topic string) bool { return w.marked[topic] }

// Barrier ensures that every record produced before it is acknowledged before a record produced after it is sent. In a
// transaction it does nothing, since all records become visible at once.
func (w *Writer) Barrier(ctx context.Context) error {
	if w.cfg.Membership == nil {
		return nil
	}
	ctx, cancel := w.bound(ctx)
	defer cancel()
	return w.timedOut(ctx, w.Flush(ctx))
}

func (w *Writer) leaseTime() time.Duration {
	return cmp.Or(w.cfg.Lease, DefaultSessionTimeout)
}

// commitAsMember commits the offsets as the group member.
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
		p.Partition, p.Offset, p.Metadata = tp.Partition, offset, new(atLeastOnceMark+w.note)
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
