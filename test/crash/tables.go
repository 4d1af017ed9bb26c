//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/state/pebblestore"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/views"
)

// checkChangelog compares the last committed value of each key in the groups' tables, read as bytes. It returns the
// number of commits that are in the tables: each commit leaves one position record.
func checkChangelog(v *verdict, top *topology.Topology, tables map[string][][]*kgo.Record, tr *truth) (commits int) {
	rows := make(map[string]map[string]any)
	for store := range tr.tables {
		rows[store] = make(map[string]any)
	}
	for topic, records := range tables {
		for _, r := range flatten(records) {
			if string(r.Key) == state.PositionKey {
				commits++
				continue
			}
			store, key, ok := state.SplitRowKey(r.Key)
			if !ok || rows[store] == nil {
				continue // rows of the runtime
			}
			if spec := specOf(top, store); spec.Kind == state.WindowKind {
				inner, start, err := state.SplitWindowKey(nil, key)
				if err != nil {
					v.wrong(topic, fmt.Sprintf("%x", r.Key), "%v", err)
					continue
				}
				key = []byte(windowedKey(string(inner), start))
			}
			if r.Value == nil {
				delete(rows[store], string(key))
				continue
			}
			_, value, err := state.SplitRowValue(r.Value)
			if err == nil {
				rows[store][string(key)], err = rowValue(store, value)
			}
			if err != nil {
				v.wrong(topic, string(key), "%v", err)
			}
		}
	}
	for store, want := range tr.tables {
		compareTable(v, "changelog of "+store, rows[store], want)
	}
	return commits
}

// openViews opens views of the whole application.
func openViews(ctx context.Context, brokers, dir string, top *topology.Topology) (*views.Views, error) {
	return views.Open(ctx, views.Config{Brokers: []string{brokers}, Dir: dir}, top.Tables()...)
}

// checkViews compares what running views answer, once they cover the offsets.
func checkViews(ctx context.Context, v *verdict, where string, vs *views.Views, offsets state.Offsets, tr *truth) error {
	if err := vs.Wait(ctx, offsets); err != nil {
		v.wrong(where, "all", "%v", err)
	}
	ctx = context.WithoutCancel(ctx) // what is there can be read even if it is not all
	profiles, err := views.KeyValue(vs, storeProfiles, codecs.String, codecs.Int64)
	if err != nil {
		return err
	}
	rows := make(map[string]any)
	for entry, err := range profiles.Range(ctx, nil, nil) {
		if err != nil {
			return err
		}
		rows[entry.Key] = entry.Value
	}
	compareTable(v, where+" of "+storeProfiles, rows, tr.tables[storeProfiles])
	for _, store := range []string{storeByKey, storeByWord} {
		view, err := views.KeyValue(vs, store, codecs.String, codecs.JSON[tally]())
		if err != nil {
			return err
		}
		rows := make(map[string]any)
		for entry, err := range view.Range(ctx, nil, nil) {
			if err != nil {
				return err
			}
			rows[entry.Key] = orderless(store, entry.Value)
		}
		compareTable(v, where+" of "+store, rows, tr.tables[store])
	}
	for store, keys := range map[string]string{storeRecent: storeByKey, storeHours: storeByWord} {
		view, err := views.Windows(vs, store, codecs.String, codecs.JSON[tally]())
		if err != nil {
			return err
		}
		rows := make(map[string]any)
		for key := range tr.tables[keys] {
			for entry, err := range view.Fetch(ctx, key, 0, 1<<62) {
				if err != nil {
					return err
				}
				rows[windowedKey(entry.Key, entry.Window.Start)] = orderless(store, entry.Value)
			}
		}
		compareTable(v, where+" of "+store, rows, tr.tables[store])
	}
	return nil
}

// checkLocal compares the state that a worker left on its disk with the changelog. A partition must have exactly the
// rows that the committed records up to its offset make: none may be missing, and nothing may be there that was not
// committed.
func checkLocal(v *verdict, dir string, top *topology.Topology, tables map[string][][]*kgo.Record) error {
	for _, sub := range top.SubTopologies() {
		path := filepath.Join(dir, stateDir, sub.Group())
		if _, err := os.Stat(path); err != nil {
			continue // it never got that far
		}
		engine, err := pebblestore.Open(path, pebblestore.Options{})
		if err != nil {
			return fmt.Errorf("state of a worker: %w", err)
		}
		err = checkEngine(v, filepath.Base(dir)+" disk "+sub.Group(), engine, tables[sub.TableTopic()])
		if err = errors.Join(err, engine.Close()); err != nil {
			return fmt.Errorf("state of a worker: %w", err)
		}
	}
	return nil
}

func checkEngine(v *verdict, where string, engine state.Engine, changelog [][]*kgo.Record) error {
	open, err := engine.Partitions()
	if err != nil {
		return err
	}
	for _, p := range open {
		part, err := engine.Open(p)
		if err != nil {
			return err
		}
		where := fmt.Sprintf("%s/%d", where, p)
		last, ok := part.Offset()
		if !ok {
			last = -1
		}
		want := make(map[string]string)
		for _, r := range changelog[p] {
			if r.Offset > last {
				break
			}
			if r.Value == nil {
				delete(want, string(r.Key))
			} else {
				want[string(r.Key)] = string(r.Value)
			}
		}
		v.compared(len(want))
		for row, err := range part.Scan(nil, nil) {
			if err != nil {
				return err
			}
			if len(row.Key) > 0 && row.Key[0] == 1 {
				continue // an index, never in the changelog
			}
			if expected, ok := want[string(row.Key)]; !ok {
				v.wrong(where, fmt.Sprintf("%q", row.Key), "expected no row at changelog offset %d, got %x", last, row.Value)
			} else if expected != string(row.Value) {
				v.wrong(where, fmt.Sprintf("%q", row.Key), "expected %x at changelog offset %d, got %x", expected, last, row.Value)
			}
			delete(want, string(row.Key))
		}
		for key := range want {
			v.wrong(where, fmt.Sprintf("%q", key), "expected a row at changelog offset %d, got none", last)
		}
	}
	return nil
}
