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

// journal makes the commit of a transaction atomic on the embedded broker.
//
// kfake commits by writing a marker into each partition of the transaction and
// then the group offsets, one after the other, each synced. Killed in between
// it leaves a transaction that is committed in one partition and open in the
// next, and the offsets, which it had only in memory, are gone. A real broker
// first writes PREPARE_COMMIT to its transaction log, and that is what the
// journal is: before kfake sees a commit, the journal has its producer, its
// epoch and its offsets on disk; the repair after a crash finishes what was
// begun.
//
// One entry is enough. kfake handles requests one at a time, so when the next
// commit overwrites the entry, the commit before is complete.
//
// The methods are called by kfake's control functions, one at a time.
type journal struct {
	file    *os.File
	durable bool // sync what is written
	staged  map[string]prepared
	last    *prepared // what the file holds; nil if nothing
}

// prepared is a transaction whose commit has begun.
type prepared struct {
	TransactionalID string           `json:"transactional_id"`
	ProducerID      int64            `json:"producer_id"`
	ProducerEpoch   int16            `json:"producer_epoch"`
	Offsets         []preparedOffset `json:"offsets,omitempty"`
}

// preparedOffset is an offset that a prepared transaction commits. The topic
// has its name or its id, as the client sent it.
type preparedOffset struct {
	Group       string   `json:"group"`
	Topic       string   `json:"topic,omitempty"`
	TopicID     [16]byte `json:"topic_id"`
	Partition   int32    `json:"partition"`
	Offset      int64    `json:"offset"`
	LeaderEpoch int32    `json:"leader_epoch"`
	Metadata    *string  `json:"metadata,omitempty"`
}

// journalHeader is the length and the checksum before the entry, both little
// endian. A length of 0 means that there is none.
const journalHeader = 4 + 4

// checksum is the CRC-32C, which the log of Kafka uses, too.
func checksum(data []byte) uint32 {
	return crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)) // the table is made once
}

// openJournal opens the journal at path, or creates it, with the entry that
// the last run left there, if any.
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

// decodePrepared returns the entry in data, or nil. An entry that is torn was
// never acted upon: kfake sees a commit only after the journal has it.
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

// clear forgets the entry.
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

// close ends the use of the journal. The entry stays.
func (j *journal) close() error { return j.file.Close() }

// watch lets the journal see the requests to cluster that concern it, before
// cluster does.
func (j *journal) watch(cluster *kfake.Cluster) {
	observe := func(see func(kmsg.Request) error, keys ...kmsg.Key) {
		for _, key := range keys {
			cluster.ControlKey(int16(key), func(request kmsg.Request) (kmsg.Response, error, bool) {
				cluster.KeepControl()
				// An error closes the connection of the client, and kfake
				// does not see the request: its outcome is "unknown".
				err := see(request)
				return nil, err, err != nil
			})
		}
	}
	observe(j.transaction, kmsg.InitProducerID, kmsg.TxnOffsetCommit, kmsg.EndTxn)
	observe(j.reuse, kmsg.AddPartitionsToTxn, kmsg.AddOffsetsToTxn)
	observe(j.override, kmsg.OffsetCommit, kmsg.OffsetDelete, kmsg.DeleteGroups, kmsg.DeleteTopics)
}

// transaction follows the transactions to their commit.
func (j *journal) transaction(request kmsg.Request) error {
	switch request := request.(type) {
	case *kmsg.InitProducerIDRequest:
		if request.TransactionalID != nil {
			delete(j.staged, *request.TransactionalID) // whatever was open is aborted
		}
	case *kmsg.TxnOffsetCommitRequest:
		j.stage(request)
	case *kmsg.EndTxnRequest:
		p := j.take(request.TransactionalID, request.ProducerID, request.ProducerEpoch)
		if request.Commit {
			return j.prepare(p)
		}
	}
	return nil
}

// stage keeps offsets until the transaction ends.
func (j *journal) stage(request *kmsg.TxnOffsetCommitRequest) {
	p := j.take(request.TransactionalID, request.ProducerID, request.ProducerEpoch)
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

// take removes and returns what is staged of a transaction: nothing, if what
// is there belongs to another producer or epoch.
func (j *journal) take(transactionalID string, producerID int64, epoch int16) prepared {
	p := j.staged[transactionalID]
	delete(j.staged, transactionalID)
	if p.ProducerID != producerID || p.ProducerEpoch != epoch {
		p = prepared{}
	}
	p.TransactionalID, p.ProducerID, p.ProducerEpoch = transactionalID, producerID, epoch
	return p
}

// prepare writes p.
func (j *journal) prepare(p prepared) error {
	data, err := encodePrepared(p)
	if err != nil {
		return err
	}
	j.last = nil // if the write fails half way, the entry before is gone too
	if err := j.write(data); err != nil {
		return err
	}
	j.last = &p
	return nil
}

// reuse forgets the entry when its producer begins another transaction under
// the same epoch, as clients older than KIP-890 do: the repair would take the
// new transaction for the old one.
func (j *journal) reuse(request kmsg.Request) error {
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

// override forgets the entry when somebody sets or deletes what it sets: the
// repair would undo that.
func (j *journal) override(request kmsg.Request) error {
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
