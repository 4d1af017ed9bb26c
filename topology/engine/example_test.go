package engine_test

import (
	"fmt"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology/engine"
)

type counter struct{}

func (counter) Name() string { return "count" }

type printer struct{}

func (printer) Send(topic string, r engine.RawRecord) error {
	fmt.Printf("%s: %s=%s\n", topic, r.Key, r.Value)
	return nil
}

// A program of one operator, which counts records by key: package topology makes such programs.
func Example() {
	count := func(h *engine.Host) engine.Reader {
		node := counter{}
		rows, err := state.NewKeyValue("counts", h.State(), h.Budget(), codecs.String, codecs.Int64)
		if err != nil {
			h.Fail(err)
			return engine.Reader{}
		}
		h.AddStore(rows)
		return engine.Reader{Read: func(r *engine.RawRecord) error {
			h.Enter(node)
			n, _, _, err := rows.Get(string(r.Key))
			if err == nil {
				err = rows.Put(string(r.Key), n+1, r.Timestamp)
			}
			if err != nil {
				return h.NodeError(node, err)
			}
			return h.Send(node, "counts", engine.RawRecord{Key: r.Key, Value: fmt.Append(nil, n+1), Timestamp: r.Timestamp})
		}}
	}
	part, err := state.NewMemory().Open(0)
	if err != nil {
		panic(err)
	}
	task, err := engine.NewTask(
		engine.Program{Name: "counts", Inputs: []engine.Input{{Topic: "flights", Open: count}}},
		engine.TaskConfig{State: part, Sink: printer{}},
	)
	if err != nil {
		panic(err)
	}
	defer task.Close()
	for _, key := range []string{"LH", "U2", "LH"} {
		if err := task.Process(0, &engine.RawRecord{Key: []byte(key)}); err != nil {
			panic(err)
		}
	}
	task.Rollback()
	if err := task.Process(0, &engine.RawRecord{Key: []byte("LH")}); err != nil {
		panic(err)
	}
	// Output:
	// counts: LH=1
	// counts: U2=1
	// counts: LH=2
	// counts: LH=1
}
