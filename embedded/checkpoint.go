package embedded

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
)

// checkpointVersion changes with the meaning of the file. A file of another version is ignored; the cost is one full
// scan.
const checkpointVersion = 1

// checkpoint is the state of the logs at the end of a run of the broker, for the next run.
type checkpoint struct {
	Version int `json:"version"`

	// Clean says that the last run ended in order and left no transaction open: there is nothing to repair. It is
	// cleared before the broker serves any client (EB4).
	Clean bool `json:"clean"`

	// Settled is, by partition, an offset below which no transaction is open (EB5): the scan of the next repair begins
	// there.
	Settled map[string]int64 `json:"settled"`
}

// settledKey names a partition in a checkpoint. It contains the id of the topic, since a topic that was deleted and
// created again has a new log.
func settledKey(topicID [16]byte, partition int32) string {
	return fmt.Sprintf("%x/%d", topicID, partition)
}

// readCheckpoint returns the checkpoint at path. If it is missing or damaged, readCheckpoint returns the zero value,
// and the repair scans everything.
func readCheckpoint(path string) (checkpoint, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return checkpoint{}, nil
	}
	if err != nil {
		return checkpoint{}, err
	}
	var c checkpoint
	if !decodes(data, &c) || c.Version != checkpointVersion {
		return checkpoint{}, nil
	}
	return c, nil
}

// decodes reports whether data is JSON that fits into value.
func decodes(data []byte, value any) bool { return json.Unmarshal(data, value) == nil }

// write replaces the checkpoint at path atomically and durably.
func (c checkpoint) write(path string) error {
	c.Version = checkpointVersion
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return writeFileAtomic(path, data)
}

// with returns c with Clean as given and, unless it is nil, settled.
func (c checkpoint) with(clean bool, settled map[string]int64) checkpoint {
	if settled != nil {
		c.Settled = maps.Clone(settled)
	}
	c.Clean = clean
	return c
}

// writeFileAtomic replaces the content of the file at path: after a crash at any moment the file has either the old or
// the new content, complete.
func writeFileAtomic(path string, data []byte) error {
	temporary := path + ".tmp"
	f, err := os.OpenFile(temporary, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the entries of a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
