package embedded

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// repair ends the transactions that a crash left open in the logs. It uses a client through the closed gate, before the
// broker serves any client (EB3).
//
// kfake keeps acknowledged records through a crash, but it treats an open transaction as aborted without a marker in
// the log. Readers then wait for the marker that ends the aborted range and skip everything that the same producer
// commits later, and the next run takes the aborted records for a part of the next transaction. So the repair writes
// the missing marker for every transaction that is open at the end of a partition: commit for the transaction whose
// commit had begun (see journal), abort for all others.
//
// At the end it fences every transactional id. A client that outlived the broker may repeat its commit. kfake only
// remembers whether the last transaction of the id was committed, and would confirm the commit of a transaction that
// was just aborted.
type repair struct {
	kafka *kgo.Client
	admin *kadm.Client
	begun *prepared        // the transaction whose commit had begun, or nil
	from  map[string]int64 // the offsets at which the scans begin, by settledKey
}

// repairResult is what a repair has found and done.
type repairResult struct {
	Scanned   int64 // log entries read
	Committed int   // partitions that got a commit marker
	Aborted   int   // partitions that got an abort marker
	Fenced    int   // transactional ids
	settled   map[string]int64
}

// producer is a transactional producer of one epoch.
type producer struct {
	id    int64
	epoch int16
}

// partitionLog is one partition during the repair.
type partitionLog struct {
	topic     string
	topicID   [16]byte
	partition int32
	start     int64 // where the scan begins
	end       int64 // high watermark
	position  int64

	open map[int64]int16 // producers with an open transaction, and their epoch
}

func (r *repair) run(ctx context.Context) (repairResult, error) {
	var result repairResult
	logs, err := r.partitions(ctx)
	if err != nil {
		return result, err
	}
	committed, err := r.scan(ctx, logs)
	if err != nil {
		return result, err
	}
	for _, log := range logs {
		result.Scanned += log.end - log.start
	}
	begun := r.begunCommit(logs, committed)
	for _, log := range logs {
		for id, epoch := range log.open {
			commit := begun != nil && *begun == (producer{id, epoch})
			if err := r.mark(ctx, log, producer{id, epoch}, commit); err != nil {
				return result, err
			}
			if commit {
				result.Committed++
			} else {
				result.Aborted++
			}
		}
	}
	if begun != nil {
		if err := r.commitOffsets(ctx); err != nil {
			return result, err
		}
	}
	if result.Fenced, err = r.fence(ctx); err != nil {
		return result, err
	}
	result.settled, err = settledOffsets(ctx, r.admin)
	return result, err
}

// partitions returns the logs of all partitions with the ranges to scan.
func (r *repair) partitions(ctx context.Context) ([]*partitionLog, error) {
	topics, err := r.admin.ListTopicsWithInternal(ctx)
	if err != nil {
		return nil, err
	}
	starts, err := r.admin.ListStartOffsets(ctx)
	if err != nil {
		return nil, err
	}
	ends, err := r.admin.ListEndOffsets(ctx)
	if err != nil {
		return nil, err
	}
	var logs []*partitionLog
	for _, topic := range topics.Sorted() {
		for _, partition := range topic.Partitions.Sorted() {
			start, _ := starts.Lookup(topic.Topic, partition.Partition)
			end, ok := ends.Lookup(topic.Topic, partition.Partition)
			if err := errors.Join(start.Err, end.Err); err != nil || !ok {
				return nil, fmt.Errorf("offsets of %s/%d: %w", topic.Topic, partition.Partition, err)
			}
			log := &partitionLog{
				topic:     topic.Topic,
				topicID:   topic.ID,
				partition: partition.Partition,
				start:     start.Offset,
				end:       end.Offset,
				open:      make(map[int64]int16),
			}
			// A checkpoint beyond the end belongs to another log: scan everything.
			if from := r.from[settledKey(log.topicID, log.partition)]; from > log.start && from <= log.end {
				log.start = from
			}
			log.position = log.start
			logs = append(logs, log)
		}
	}
	return logs, nil
}

// scan reads the logs to their ends, records the transactions that are open there, and returns the producers that have
// a commit marker.
func (r *repair) scan(ctx context.Context, logs []*partitionLog) (committed map[producer]bool, err error) {
	committed = make(map[producer]bool)
	from := make(map[string]map[int32]kgo.Offset)
	pending := make(map[string]map[int32]*partitionLog)
	left := 0
	for _, log := range logs {
		if log.start >= log.end {
			continue
		}
		if from[log.topic] == nil {
			from[log.topic] = make(map[int32]kgo.Offset)
			pending[log.topic] = make(map[int32]*partitionLog)
		}
		from[log.topic][log.partition] = kgo.NewOffset().At(log.start)
		pending[log.topic][log.partition] = log
		left++
	}
	if left == 0 {
		return committed, nil
	}
	r.kafka.AddConsumePartitions(from)
	defer func() { r.kafka.PurgeTopicsFromConsuming(topicsOf(pending)...) }()
	for left > 0 {
		fetches := r.kafka.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return nil, err
		}
		for _, fetchError := range fetches.Errors() {
			return nil, fmt.Errorf("reading %s/%d: %w", fetchError.Topic, fetchError.Partition, fetchError.Err)
		}
		for record := range fetches.RecordsAll() {
			log := pending[record.Topic][record.Partition]
			if log.position >= log.end {
				continue
			}
			log.record(record, committed)
			if log.position >= log.end {
				left--
			}
		}
	}
	return committed, nil
}

func topicsOf(logs map[string]map[int32]*partitionLog) []string {
	var topics []string
	for topic := range logs {
		topics = append(topics, topic)
	}
	return topics
}

// record updates the open transactions of a partition with one record.
func (l *partitionLog) record(record *kgo.Record, committed map[producer]bool) {
	l.position = record.Offset + 1
	switch {
	case record.Attrs.IsControl():
		delete(l.open, record.ProducerID)
		if isCommit(record.Key) {
			committed[producer{record.ProducerID, record.ProducerEpoch}] = true
		}
	case record.Attrs.IsTransactional():
		l.open[record.ProducerID] = record.ProducerEpoch
	}
}

// isCommit reports whether the key of a control record says commit. It has a version and a type, of 2 bytes each.
func isCommit(key []byte) bool {
	return len(key) >= 4 && binary.BigEndian.Uint16(key[2:]) == uint16(kmsg.ControlRecordKeyTypeCommit)
}

// begunCommit returns the producer whose commit the journal prepared, if kfake had accepted that commit. The journal
// does not know: it sees a request before kfake may refuse it, for instance because the producer was fenced. A refused
// transaction was aborted in every partition, while an accepted one is open or committed in at least one.
func (r *repair) begunCommit(logs []*partitionLog, committed map[producer]bool) *producer {
	if r.begun == nil {
		return nil
	}
	begun := producer{r.begun.ProducerID, r.begun.ProducerEpoch}
	if committed[begun] {
		return &begun
	}
	if slices.ContainsFunc(logs, func(log *partitionLog) bool {
		epoch, ok := log.open[begun.id]
		return ok && epoch == begun.epoch
	}) {
		return &begun
	}
	return nil
}

// mark ends the transaction of p in one partition.
func (r *repair) mark(ctx context.Context, log *partitionLog, p producer, commit bool) error {
	topic := kmsg.NewWriteTxnMarkersRequestMarkerTopic()
	topic.Topic, topic.Partitions = log.topic, []int32{log.partition}
	marker := kmsg.NewWriteTxnMarkersRequestMarker()
	marker.ProducerID, marker.ProducerEpoch, marker.Committed = p.id, p.epoch, commit
	marker.Topics = append(marker.Topics, topic)
	request := kmsg.NewPtrWriteTxnMarkersRequest()
	request.Markers = append(request.Markers, marker)

	response, err := request.RequestWith(ctx, r.kafka)
	if err == nil {
		for _, marker := range response.Markers {
			for _, topic := range marker.Topics {
				for _, partition := range topic.Partitions {
					err = errors.Join(err, kerr.ErrorForCode(partition.ErrorCode))
				}
			}
		}
	}
	if err != nil {
		return fmt.Errorf("ending the transaction of producer %d in %s/%d: %w", p.id, log.topic, log.partition, err)
	}
	return nil
}

// commitOffsets sets the offsets of the transaction whose commit had begun. If kfake had already set them, nothing
// changes.
func (r *repair) commitOffsets(ctx context.Context) error {
	topics, err := r.admin.ListTopicsWithInternal(ctx)
	if err != nil {
		return err
	}
	byID := make(map[[16]byte]string, len(topics))
	for name, topic := range topics {
		byID[topic.ID] = name
	}
	groups := make(map[string]kadm.Offsets)
	for _, offset := range r.begun.Offsets {
		topic := offset.Topic
		if topic == "" {
			topic = byID[offset.TopicID]
		}
		if !topics.Has(topic) {
			continue // deleted since
		}
		metadata := ""
		if offset.Metadata != nil {
			metadata = *offset.Metadata
		}
		offsets := groups[offset.Group]
		offsets.Add(kadm.Offset{
			Topic: topic, Partition: offset.Partition,
			At: offset.Offset, LeaderEpoch: offset.LeaderEpoch, Metadata: metadata,
		})
		groups[offset.Group] = offsets
	}
	for group, offsets := range groups {
		if err := r.admin.CommitAllOffsets(ctx, group, offsets); err != nil {
			return fmt.Errorf("offsets of group %s: %w", group, err)
		}
	}
	return nil
}

// fence raises the epoch of every transactional id by two. One is not enough: kfake takes a commit with the previous
// epoch for the retry of a commit that succeeded.
func (r *repair) fence(ctx context.Context) (int, error) {
	transactions, err := r.admin.ListTransactions(ctx, nil, nil)
	if err != nil {
		return 0, err
	}
	for _, id := range transactions.TransactionalIDs() {
		for range 2 {
			request := kmsg.NewPtrInitProducerIDRequest()
			request.TransactionalID = &id
			request.TransactionTimeoutMillis = 60_000 // without effect: kfake keeps the old one
			request.ProducerID, request.ProducerEpoch = -1, -1
			response, err := request.RequestWith(ctx, r.kafka)
			if err == nil {
				err = kerr.ErrorForCode(response.ErrorCode)
			}
			if err != nil {
				return 0, fmt.Errorf("fencing transactional id %s: %w", id, err)
			}
		}
	}
	return len(transactions), nil
}

// settledOffsets returns the last stable offsets of all partitions, by settledKey: no transaction is open below them.
func settledOffsets(ctx context.Context, admin *kadm.Client) (map[string]int64, error) {
	topics, err := admin.ListTopicsWithInternal(ctx)
	if err != nil {
		return nil, err
	}
	offsets, err := admin.ListCommittedOffsets(ctx)
	if err != nil {
		return nil, err
	}
	settled := make(map[string]int64)
	offsets.Each(func(offset kadm.ListedOffset) {
		if topic, ok := topics[offset.Topic]; ok && offset.Err == nil {
			settled[settledKey(topic.ID, offset.Partition)] = offset.Offset
		}
	})
	return settled, nil
}
