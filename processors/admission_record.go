package processors

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"time"

	"github.com/seed84377926/millrace/topology/describe"
)

// topologyRecord is the value of the single record of an application's description topic: the topology of the version
// that runs or has run last.
type topologyRecord struct {
	Format   int               `json:"format"`
	Writer   string            `json:"written_by"` // address of the instance
	At       time.Time         `json:"written_at"`
	Topology describe.Topology `json:"topology"`
	// Topics are the ids of the topics that belong to the application, orphaned ones included; hexadecimal. A topic
	// that has another id now was deleted, and its content is gone.
	Topics map[string]string `json:"topic_ids"`

	stored describe.Topology // as it was read, with what has been deleted since
}

// equal ignores the writer and the time.
func (r *topologyRecord) equal(next topologyRecord) bool {
	before, err := json.Marshal(r.stored)
	after, errAfter := json.Marshal(next.Topology)
	return err == nil && errAfter == nil && bytes.Equal(before, after) && maps.Equal(r.Topics, next.Topics)
}

// topologyKey is the key of the record.
const topologyKey = "topology"

const (
	topologyFormat = 1
	// plainTopology is the largest record that is left as text, for people: brokers take a megabyte by default.
	plainTopology = 256 << 10
	// maxTopology keeps a damaged record from filling the memory.
	maxTopology = 256 << 20
)

func (r topologyRecord) encode() ([]byte, error) {
	data, err := json.Marshal(r)
	if err != nil || len(data) <= plainTopology {
		return data, err
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}

// decodeTopologyRecord tells the two encodings apart by their first byte.
func decodeTopologyRecord(data []byte) (r topologyRecord, err error) {
	if len(data) > 0 && data[0] != '{' {
		unpack, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return r, fmt.Errorf("neither JSON nor gzip: %w", err)
		}
		if data, err = io.ReadAll(io.LimitReader(unpack, maxTopology)); err != nil {
			return r, fmt.Errorf("unpack: %w", err)
		}
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, err
	}
	if r.Format != topologyFormat {
		return r, fmt.Errorf("its format is %d, and this version of millrace knows format %d; use the version that wrote it, or a later one", r.Format, topologyFormat)
	}
	r.stored = r.Topology
	return r, nil
}
