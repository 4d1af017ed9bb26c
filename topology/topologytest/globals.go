package topologytest

import (
	"fmt"
	"slices"

	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology/engine"
)

// globalTable has the rows of a global table. A record that is piped into its topic is in it after the record under
// way, if there is one, has been processed. The table can go back to the last commit, so that records that are piped
// again find the same rows.
type globalTable struct {
	name, topic string
	part        state.Partition
	queue       []engine.RawRecord
	undo        []state.Row // rows as they were before each change since the last commit; a nil value is none
	version     uint64
}

func (d *Driver) openGlobals() {
	d.t.Helper()
	for _, def := range d.top.Globals() {
		part, err := state.NewMemory().Open(0)
		d.must(err)
		d.globals = append(d.globals, &globalTable{name: def.Name, topic: def.Topic, part: part})
	}
}

func (d *Driver) globalRows(name string) engine.GlobalRows {
	for _, g := range d.globals {
		if g.name == name {
			return g
		}
	}
	return nil
}

// updateGlobals applies queued records to the tables.
func (d *Driver) updateGlobals() error {
	for _, g := range d.globals {
		for _, r := range g.queue {
			if err := g.update(r); err != nil {
				return fmt.Errorf("global table %q: %w", g.name, err)
			}
		}
		g.queue = nil
	}
	return nil
}

func (g *globalTable) update(r engine.RawRecord) error {
	if r.Key == nil {
		return nil
	}
	key := state.AppendRowKey(nil, g.name, r.Key)
	before, ok, err := g.part.Get([]byte{}, key)
	if err != nil {
		return err
	}
	if !ok {
		before = nil
	}
	g.undo = append(g.undo, state.Row{Key: key, Value: before})
	if r.Value == nil {
		return g.set(key, nil)
	}
	return g.set(key, state.AppendRowValue(nil, r.Timestamp, r.Value))
}

func (g *globalTable) set(key, row []byte) error {
	g.version++
	var batch state.Batch
	if row == nil {
		batch.Delete(key)
	} else {
		batch.Set(key, row)
	}
	return g.part.Apply(&batch)
}

func (g *globalTable) commit() { g.undo = nil }

func (g *globalTable) rollback() error {
	for _, row := range slices.Backward(g.undo) {
		if err := g.set(row.Key, row.Value); err != nil {
			return err
		}
	}
	g.undo, g.queue = nil, nil
	return nil
}

// Get and Version implement engine.GlobalRows.

func (g *globalTable) Get(dst, key []byte) ([]byte, bool, error) { return g.part.Get(dst, key) }
func (g *globalTable) Version() uint64                           { return g.version }
