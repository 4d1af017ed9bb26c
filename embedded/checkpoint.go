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

// checkpointVersion changes with the meaning of the file. A file of another
// version is ignored, which costs one full scan.
const checkpointVersion = 1

// checkpoint is what the embedded broker remembers about its log from one run
// to the next.
type checkpoint struct {
	Version int `json:"version"`

	// Clean says that the last run ended in order and left no transaction
	// open: there is nothing to repair. It is taken back before the broker
	// serves anybody.
	Clean bool `json:"clean"`

	// Settled holds, by partition, an offset below which no transaction is
	// open: the scan of the next repair begins there.
	Settled map[string]int64 `json:"settled"`
}

// settledKey names a partition in a checkpoint. The id of the topic is part of
// it because a topic that was deleted and created again starts anew.
func settledKey(topicID [16]byte, partition int32) string {
	return fmt.Sprintf("%x/%d", topicID, partition)
}

// readCheckpoint returns the checkpoint at path. One that is missing or
// damaged is as good as none: the zero value makes the repair scan everything.
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

// with returns c with Clean as given and the offsets of settled, if there are
// any.
func (c checkpoint) with(clean bool, settled map[string]int64) checkpoint {
	if settled != nil {
		c.Settled = maps.Clone(settled)
	}
	c.Clean = clean
	return c
}

// writeFileAtomic replaces the file at path by one with data: after a crash at
// any moment either the old or the new one is there, whole.
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

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
