package embedded

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// journal makes the commit of a transaction atomic (EB2).
//
// kfake commits by writing a marker into each partition of the transaction and then the group offsets, one after the
// other, each synced. If it is killed in between, the transaction is committed in one partition and open in the next,
// and the offsets, which were only in memory, are lost. A real broker first writes PREPARE_COMMIT to its transaction
// log. The journal does the same: before kfake sees a commit, its producer, epoch and offsets are in the journal, and
// the repair after a crash finishes the commit.
//
// One entry is enough: kfake handles requests one at a time, so when the next commit overwrites the entry, the previous
// commit is complete.
//
// kfake's control functions call the methods, one at a time.
type journal struct {
	file    *os.File
	durable bool // sync after each write
	staged  map[string]prepared
	last    *prepared // the entry in the file, nil if there is none
}

// prepared is a transaction whose commit has begun.
type prepared struct {
	TransactionalID string           `json:"transactional_id"`
	ProducerID      int64            `json:"producer_id"`
	ProducerEpoch   int16            `json:"producer_epoch"`
	Offsets         []preparedOffset `json:"offsets,omitempty"`
}

// preparedOffset is an offset that a prepared transaction commits. The topic has its name or its id, as the client sent
// it.
type preparedOffset struct {
	Group       string   `json:"group"`
	Topic       string   `json:"topic,omitempty"`
	TopicID     [16]byte `json:"topic_id"`
	Partition   int32    `json:"partition"`
	Offset      int64    `json:"offset"`
	LeaderEpoch int32    `json:"leader_epoch"`
	Metadata    *string  `json:"metadata,omitempty"`
}

// journalHeader is the size of the length and the checksum before the entry, both little endian. A length of 0 means
// that there is no entry.
const journalHeader = 4 + 4

// checksum returns the CRC-32C, which Kafka's logs use, too.
func checksum(data []byte) uint32 {
	return crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)) // the table is made once
}

// openJournal opens or creates the journal at path, and reads the entry that the last run left there, if any.
func openJournal(path string, durable bool) (*journal, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	j := &journal{file: file, durable: durable, staged: make(map[string]prepared)}
	data, err := io.ReadAll(file)
	if err != nil {
		file.Close()
		return nil, err
	}
	j.last = decodePrepared(data)
	return j, nil
}

// decodePrepared returns the entry in data, or nil. kfake has not seen the commit of a torn entry (EB2).
func decodePrepared(data []byte) *prepared {
	if len(data) < journalHeader {
		return nil
	}
	length, sum := binary.LittleEndian.Uint32(data), binary.LittleEndian.Uint32(data[4:])
	data = data[journalHeader:]
	if length == 0 || uint64(length) > uint64(len(data)) || checksum(data[:length]) != sum {
		return nil
	}
	var p prepared
	if err := json.Unmarshal(data[:length], &p); err != nil {
		return nil
	}
	return &p
}

// encodePrepared is the inverse of decodePrepared.
func encodePrepared(p prepared) ([]byte, error) {
	entry, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	data := make([]byte, journalHeader, journalHeader+len(entry))
	binary.LittleEndian.PutUint32(data, uint32(len(entry)))
	binary.LittleEndian.PutUint32(data[4:], checksum(entry))
	return append(data, entry...), nil
}

// clear removes the entry.
func (j *journal) clear() error {
	if j.last == nil {
		return nil
	}
	if err := j.write(make([]byte, journalHeader)); err != nil {
		return err
	}
	j.last = nil
	return nil
}

func (j *journal) write(data []byte) error {
	if _, err := j.file.WriteAt(data, 0); err != nil {
		return fmt.Errorf("writing the transaction journal %s: %w", j.file.Name(), err)
	}
	if !j.durable {
		return nil
	}
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("writing the transaction journal %s: %w", j.file.Name(), err)
	}
	return nil
}

// close closes the file. The entry stays.
func (j *journal) close() error { return j.file.Close() }

// watch passes the requests that concern the journal to it before cluster handles them.
func (j *journal) watch(cluster *kfake.Cluster) {
	observe := func(see func(kmsg.Request) error, keys ...kmsg.Key) {
		for _, key := range keys {
			cluster.ControlKey(int16(key), func(request kmsg.Request) (kmsg.Response, error, bool) {
				cluster.KeepControl()
				// After an error kfake does not handle the request, and the connection is closed: for the client the
				// outcome is unknown.
				err := see(request)
				return nil, err, err != nil
			})
		}
	}
	observe(j.followTransaction, kmsg.InitProducerID, kmsg.TxnOffsetCommit, kmsg.EndTxn)
	observe(j.forgetReused, kmsg.AddPartitionsToTxn, kmsg.AddOffsetsToTxn)
	observe(j.forgetOverridden, kmsg.OffsetCommit, kmsg.OffsetDelete, kmsg.DeleteGroups, kmsg.DeleteTopics)
}

// followTransaction stages the offsets of a transaction, and prepares its commit.
func (j *journal) followTransaction(request kmsg.Request) error {
	switch request := request.(type) {
	case *kmsg.InitProducerIDRequest:
		if request.TransactionalID != nil {
			delete(j.staged, *request.TransactionalID) // an open transaction is aborted
		}
	case *kmsg.TxnOffsetCommitRequest:
		j.stage(request)
	case *kmsg.EndTxnRequest:
		p := j.unstage(request.TransactionalID, request.ProducerID, request.ProducerEpoch)
		if request.Commit {
			return j.prepare(p)
		}
	}
	return nil
}

// stage keeps offsets until the transaction ends.
func (j *journal) stage(request *kmsg.TxnOffsetCommitRequest) {
	p := j.unstage(request.TransactionalID, request.ProducerID, request.ProducerEpoch)
	for _, topic := range request.Topics {
		for _, partition := range topic.Partitions {
			p.Offsets = append(p.Offsets, preparedOffset{
				Group:       request.Group,
				Topic:       topic.Topic,
				TopicID:     topic.TopicID,
				Partition:   partition.Partition,
				Offset:      partition.Offset,
				LeaderEpoch: partition.LeaderEpoch,
				Metadata:    partition.Metadata,
			})
		}
	}
	j.staged[p.TransactionalID] = p
}

// unstage removes and returns the staged offsets of a transaction: none, if they belong to another producer or epoch.
func (j *journal) unstage(transactionalID string, producerID int64, epoch int16) prepared {
	p := j.staged[transactionalID]
	delete(j.staged, transactionalID)
	if p.ProducerID != producerID || p.ProducerEpoch != epoch {
		p = prepared{}
	}
	p.TransactionalID, p.ProducerID, p.ProducerEpoch = transactionalID, producerID, epoch
	return p
}

// prepare writes p as the entry.
func (j *journal) prepare(p prepared) error {
	data, err := encodePrepared(p)
	if err != nil {
		return err
	}
	j.last = nil // a write that fails half way destroys the previous entry, too
	if err := j.write(data); err != nil {
		return err
	}
	j.last = &p
	return nil
}

// forgetReused removes the entry when its producer begins another transaction under the same epoch, as clients older
// than KIP-890 do: the repair would take the new transaction for the old one.
func (j *journal) forgetReused(request kmsg.Request) error {
	begins := func(producerID int64, epoch int16) bool {
		return j.last != nil && j.last.ProducerID == producerID && j.last.ProducerEpoch == epoch
	}
	again := false
	switch request := request.(type) {
	case *kmsg.AddPartitionsToTxnRequest:
		again = begins(request.ProducerID, request.ProducerEpoch)
		for _, t := range request.Transactions {
			again = again || begins(t.ProducerID, t.ProducerEpoch)
		}
	case *kmsg.AddOffsetsToTxnRequest:
		again = begins(request.ProducerID, request.ProducerEpoch)
	}
	if again {
		return j.clear()
	}
	return nil
}

// forgetOverridden removes the entry when a later request sets or deletes the offsets that it sets: the repair would
// undo that request.
func (j *journal) forgetOverridden(request kmsg.Request) error {
	overridden := false
	switch request := request.(type) {
	case *kmsg.OffsetCommitRequest:
		overridden = j.sets(request.Group)
	case *kmsg.OffsetDeleteRequest:
		overridden = j.sets(request.Group)
	case *kmsg.DeleteGroupsRequest:
		for _, group := range request.Groups {
			overridden = overridden || j.sets(group)
		}
	case *kmsg.DeleteTopicsRequest:
		overridden = j.last != nil
	}
	if overridden {
		return j.clear()
	}
	return nil
}

// sets reports whether the entry has offsets of group.
func (j *journal) sets(group string) bool {
	if j.last == nil {
		return false
	}
	for _, offset := range j.last.Offsets {
		if offset.Group == group {
			return true
		}
	}
	return false
}
