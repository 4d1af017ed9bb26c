package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed84377926/millrace/internal/fault"
	"github.com/seed84377926/millrace/state"
)

// topicID returns the id of a topic. It asks the cluster once for each topic. If a topic is deleted and created again,
// the broker refuses the commit for the old id, and the writer of the next takeover asks again.
func (w *Writer) topicID(ctx context.Context, topic string) ([16]byte, error) {
	if id, ok := w.topicIDs[topic]; ok {
		return id, nil
	}
	id, err := w.client.TopicID(ctx, topic)
	if err == nil {
		w.topicIDs[topic] = id
	}
	return id, err
}

// Committed returns the group's committed offset for this partition of each topic, -1 if there is none. It waits until
// no transaction with such offsets is pending (RequireStable), because right after a commit an ordinary fetch may still
// return the older offset.
func (w *Writer) Committed(ctx context.Context, topics []string, partition int32) (map[string]int64, error) {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.RequireStable = true
	group := kmsg.NewOffsetFetchRequestGroup()
	group.Group = w.cfg.Group
	byID := make(map[[16]byte]string, len(topics))
	for _, topic := range topics {
		id, err := w.topicID(ctx, topic)
		if err != nil {
			return nil, fmt.Errorf("committed offsets of group %s: %w", w.cfg.Group, err)
		}
		byID[id] = topic
		t := kmsg.NewOffsetFetchRequestGroupTopic()
		t.Topic, t.TopicID, t.Partitions = topic, id, []int32{partition}
		group.Topics = append(group.Topics, t)
	}
	req.Groups = append(req.Groups, group)

	var offsets map[string]int64
	err := retry(ctx, 20*time.Millisecond, kerr.IsRetriable, func() (err error) {
		offsets, err = w.fetchOffsets(ctx, req, byID)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("committed offsets of group %s: %w", w.cfg.Group, w.client.denied(err, "Describe", "this group and its topics"))
	}
	return offsets, nil
}

func (w *Writer) fetchOffsets(ctx context.Context, req *kmsg.OffsetFetchRequest, byID map[[16]byte]string) (map[string]int64, error) {
	resp, err := req.RequestWith(ctx, w.kafka)
	if err != nil {
		return nil, err
	}
	if len(resp.Groups) != 1 {
		return nil, fmt.Errorf("broker answered for %d groups, want 1", len(resp.Groups))
	}
	offsets := make(map[string]int64, len(byID))
	for _, topic := range byID {
		offsets[topic] = -1
	}
	if err := kerr.ErrorForCode(resp.Groups[0].ErrorCode); errors.Is(err, kerr.GroupIDNotFound) {
		return offsets, nil // no member has joined or committed yet
	} else if err != nil {
		return nil, err
	}
	for _, t := range resp.Groups[0].Topics {
		name := t.Topic
		if name == "" {
			name = byID[t.TopicID]
		}
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return nil, err
			}
			offsets[name] = p.Offset
			w.recordCommit(state.TopicPartition{Topic: name, Partition: p.Partition}, p.Offset, p.Metadata)
		}
	}
	return offsets, nil
}

// LastCommits returns, for each input topic, the name of the commit that set its offset, if this writer has read or
// committed that offset. If another writer has the same names, nothing was committed in between; a commit changes the
// name even if the offset stays the same. The name is the metadata of the offset. It has no meaning for offsets that
// were committed at least once.
func (w *Writer) LastCommits() map[string]string { return w.commits }

// commitName returns a unique name for the open transaction.
func (w *Writer) commitName() string {
	return fmt.Sprintf("millrace: commit %d/%d/%d%s", w.begun.id, w.begun.epoch, w.committed, w.note)
}

// SetNote sets what the commits from now on add to the metadata of their offsets, for readers of Client.GroupNotes.
func (w *Writer) SetNote(note string) { w.note = " " + note }

// recordCommit records which commit set an offset, and in which mode.
func (w *Writer) recordCommit(tp state.TopicPartition, offset int64, metadata *string) {
	delete(w.commits, tp.Topic)
	if metadata != nil && *metadata != "" {
		w.commits[tp.Topic] = *metadata
	}
	w.marked[tp.Topic] = metadata != nil && strings.HasPrefix(*metadata, atLeastOnceMark)
	if w.cfg.Membership == nil || offset < 0 || w.marked[tp.Topic] {
		delete(w.unmarked, tp)
		return
	}
	if w.unmarked == nil {
		w.unmarked = make(state.Offsets)
	}
	w.unmarked[tp] = offset
}

// commitOffsets adds the offsets to the open transaction.
func (w *Writer) commitOffsets(ctx context.Context, offsets state.Offsets) error {
	id, epoch := w.begun.id, w.begun.epoch
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = w.cfg.TransactionalID, id, epoch, w.cfg.Group
	err := retry(ctx, 5*time.Millisecond, retriableInTransaction, func() error {
		resp, err := add.RequestWith(ctx, w.kafka)
		if err != nil {
			return err
		}
		return kerr.ErrorForCode(resp.ErrorCode)
	})
	if err != nil {
		return err
	}

	fault.Point("writer.offsets-added")
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.Group = w.cfg.TransactionalID, w.cfg.Group
	req.ProducerID, req.ProducerEpoch = id, epoch
	// No member and no generation: the transactional id is the fence, and the group only says which member should be
	// the owner.
	req.Generation, req.MemberID = -1, ""
	topics := make(map[string]int)
	name := w.commitName()
	for tp, offset := range offsets {
		i, ok := topics[tp.Topic]
		if !ok {
			topicID, err := w.topicID(ctx, tp.Topic)
			if err != nil {
				return err
			}
			t := kmsg.NewTxnOffsetCommitRequestTopic()
			t.Topic, t.TopicID = tp.Topic, topicID // from version 6 on the request carries the id only (KIP-1319)
			i = len(req.Topics)
			topics[tp.Topic] = i
			req.Topics = append(req.Topics, t)
		}
		p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.Metadata = tp.Partition, offset, &name
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, p)
	}
	tries := 0
	retriable := func(err error) bool {
		tries++
		return retriableInTransaction(err) && (tries <= maxUnknownTopic || !errors.Is(err, kerr.UnknownTopicOrPartition))
	}
	return retry(ctx, 5*time.Millisecond, retriable, func() error {
		resp, err := req.RequestWith(ctx, w.kafka)
		if err != nil {
			return err
		}
		return firstOffsetError(resp)
	})
}

// maxUnknownTopic is how often a commit is repeated after the answer that an input topic does not exist: a coordinator
// may learn of a new topic a little later than other brokers. The tries take one to two seconds.
const maxUnknownTopic = 200

func firstOffsetError(resp *kmsg.TxnOffsetCommitResponse) error {
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return err
			}
		}
	}
	return nil
}
