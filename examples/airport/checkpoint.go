package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/seed84377926/millrace/state"
)

// Checkpoint stores in a file how many commands are done, so that a resumed load does not send them again. It may be
// out of date or lost: that only costs time. A nil *Checkpoint stores nothing.
type Checkpoint struct {
	path string
}

// checkpointFile is the content of the file.
type checkpointFile struct {
	Commands int    `json:"commands"` // of the whole load; a different number means different data
	Done     int    `json:"done"`
	Token    string `json:"token"`
}

// Load returns how many commands are done and the token that covers them. It returns 0 and nil unless there is a
// checkpoint of a load of that many commands.
func (c *Checkpoint) Load(commands int) (done int, token state.Offsets) {
	if c == nil {
		return 0, nil
	}
	data, err := os.ReadFile(c.path)
	if err != nil {
		return 0, nil
	}
	var file checkpointFile
	if json.Unmarshal(data, &file) != nil || file.Commands != commands || file.Done < 0 || file.Done > commands {
		return 0, nil
	}
	token, err = state.ParseToken(file.Token)
	if err != nil {
		return 0, nil
	}
	return file.Done, token
}

// Save replaces the checkpoint atomically: a reader finds the old one or the new one.
func (c *Checkpoint) Save(commands, done int, token state.Offsets) error {
	if c == nil {
		return nil
	}
	data, err := json.Marshal(checkpointFile{Commands: commands, Done: done, Token: token.Token()})
	if err != nil {
		return fmt.Errorf("encode checkpoint: %w", err)
	}
	next := c.path + ".next"
	if err := os.WriteFile(next, data, 0o600); err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
	}
	if err := os.Rename(next, c.path); err != nil {
		return fmt.Errorf("replace checkpoint: %w", err)
	}
	return nil
}
