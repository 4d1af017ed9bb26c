package edge

import (
	"bytes"
	"encoding/binary"
	"encoding/json/v2"
	"errors"
	"fmt"
	"time"

	"github.com/seed84377926/millrace/state"
)

// The rows of an owner's partition, in the changelog <name>-<aggregate>-state and in the local store alike:
//
//	snapshots ‖ 00 ‖ id                       timestamp(8) ‖ 01 ‖ version ‖ next offset ‖ state
//	results   ‖ 00 ‖ id ‖ 00 ‖ key            timestamp(8) ‖ 01 ‖ fingerprint(32) ‖ status ‖ header ‖ body
//	00 "fence"                                 empty: the row of a commit that has no other
//
// and, in the local store only:
//
//	01 ‖ results ‖ 00 ‖ timestamp(8) ‖ id ‖ 00 ‖ key      empty: the results by age
//	00 "changelog"                             the topic id of the changelog of the rows
//
// The topic <name>-<aggregate>-owners has a claim for each takeover: the partition as decimal key, and JSON.
//
// Versions, offsets, statuses and lengths are uvarints. A header is a count and, for each field, name and value. A text
// is a length and bytes. The body extends to the end of the row.
const (
	snapshotStore = "snapshots"
	resultStore   = "results"

	fenceKey     = "\x00fence"
	changelogKey = "\x00changelog"

	resultAges = "\x01" + resultStore + "\x00"

	rowVersion = 1
)

var errRow = errors.New("edge: the row has a format that this program does not know")

func snapshotKey(id string) []byte { return state.AppendRowKey(nil, snapshotStore, []byte(id)) }

func resultKey(id, key string) []byte {
	return state.AppendRowKey(nil, resultStore, []byte(id+"\x00"+key))
}

// snapshot is an aggregate as it is stored.
type snapshot struct {
	version int64  // how many events the aggregate has
	next    int64  // offset after its last event
	state   []byte // as its type encodes it
}

func (s snapshot) row(timestamp int64) []byte {
	data := make([]byte, 0, len(s.state)+16)
	data = append(data, rowVersion)
	data = binary.AppendUvarint(data, uint64(s.version))
	data = binary.AppendUvarint(data, uint64(s.next))
	return state.AppendRowValue(nil, timestamp, append(data, s.state...))
}

func decodeSnapshot(row []byte) (snapshot, error) {
	_, data, err := state.SplitRowValue(row)
	if err != nil {
		return snapshot{}, fmt.Errorf("snapshot: %w", err)
	}
	r := rowReader{data: data}
	r.version()
	s := snapshot{version: int64(r.uvarint()), next: int64(r.uvarint()), state: r.rest()}
	if r.failed || s.version < 0 || s.next < 0 {
		return snapshot{}, fmt.Errorf("snapshot: %w", errRow)
	}
	return s, nil
}

// result is the stored answer to a command.
type result struct {
	timestamp   int64 // when it was decided, in milliseconds since the Unix epoch
	fingerprint [32]byte
	answer      answer
}

func (r result) row() []byte {
	data := make([]byte, 0, len(r.answer.body)+256)
	data = append(data, rowVersion)
	data = append(data, r.fingerprint[:]...)
	data = binary.AppendUvarint(data, uint64(r.answer.status))
	data = binary.AppendUvarint(data, uint64(len(r.answer.header)))
	for _, f := range r.answer.header {
		for _, text := range []string{f.name, f.value} {
			data = binary.AppendUvarint(data, uint64(len(text)))
			data = append(data, text...)
		}
	}
	return state.AppendRowValue(nil, r.timestamp, append(data, r.answer.body...))
}

func decodeResult(row []byte) (result, error) {
	timestamp, data, err := state.SplitRowValue(row)
	if err != nil {
		return result{}, fmt.Errorf("result: %w", err)
	}
	r := rowReader{data: data}
	r.version()
	decoded := result{timestamp: timestamp}
	copy(decoded.fingerprint[:], r.bytes(uint64(len(decoded.fingerprint))))
	decoded.answer.status = int(r.uvarint())
	for n := r.uvarint(); n > 0 && !r.failed; n-- {
		decoded.answer.set(r.text(), r.text())
	}
	decoded.answer.body = r.rest()
	if r.failed || decoded.answer.status < 100 || decoded.answer.status > 999 {
		return result{}, fmt.Errorf("result: %w", errRow)
	}
	return decoded, nil
}

// resultAgeKey returns the key of the local row by which stored answers are found in the order of their age.
func resultAgeKey(timestamp int64, storeKey []byte) []byte {
	key := append([]byte(resultAges), state.AppendRowValue(nil, timestamp, nil)...)
	return append(key, storeKey...)
}

// splitResultAgeKey is the inverse of resultAgeKey. storeKey shares memory with key.
func splitResultAgeKey(key []byte) (timestamp int64, storeKey []byte, err error) {
	return state.SplitRowValue(bytes.TrimPrefix(key, []byte(resultAges)))
}

// claim announces that an instance is about to take over a partition.
type claim struct {
	Instance string    `json:"instance"` // unique for each run of a server
	Address  string    `json:"address"`
	Since    time.Time `json:"since"`
}

func (c claim) row() ([]byte, error) { return json.Marshal(c) }

func decodeClaim(row []byte) (claim, error) {
	var c claim
	if err := json.Unmarshal(row, &c); err != nil {
		return c, fmt.Errorf("claim: %w", err)
	}
	return c, nil
}

// rowReader reads the parts of a row. After the first failure all parts are zero.
type rowReader struct {
	data   []byte
	failed bool
}

func (r *rowReader) version() {
	if b := r.bytes(1); len(b) == 1 && b[0] != rowVersion {
		r.failed = true
	}
}

func (r *rowReader) uvarint() uint64 {
	value, n := binary.Uvarint(r.data)
	if n <= 0 || r.failed {
		r.failed = true
		return 0
	}
	r.data = r.data[n:]
	return value
}

func (r *rowReader) bytes(n uint64) []byte {
	if r.failed || n > uint64(len(r.data)) {
		r.failed = true
		return nil
	}
	b := r.data[:n:n]
	r.data = r.data[n:]
	return b
}

func (r *rowReader) text() string { return string(r.bytes(r.uvarint())) }

func (r *rowReader) rest() []byte { return r.bytes(uint64(len(r.data))) }
