package topology_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
)

// The tasks of both sides work in any order. The results are in the end the results of a join of the final rows: none
// is missing, and no outdated result stays.
func TestForeignJoin_convergesInAnyOrder(t *testing.T) {
	runs := uint64(100)
	if testing.Short() {
		runs = 10
	}
	for _, name := range []string{"join-foreign", "left-join-foreign", "join-foreign-self"} {
		t.Run(name, func(t *testing.T) {
			for seed := range runs {
				dice := rand.New(rand.NewPCG(seed, 5))
				c := newTaskCluster(t, build(t, "app", foreignScenarios()[name].Define), map[string]int32{"flights": 3, "airlines": 2}, dice)
				rows := map[string]map[string]string{"flights": {}, "airlines": {}}
				for i := range 60 {
					topic, keys := "flights", []string{"KL", "LH", "1", "2"}
					if name != "join-foreign-self" && dice.IntN(3) == 0 {
						topic, keys = "airlines", []string{"KL", "LH"}
					}
					r := engine.RawRecord{Key: []byte(keys[dice.IntN(len(keys))]), Timestamp: int64(i)}
					delete(rows[topic], string(r.Key))
					if dice.IntN(3) > 0 {
						value := []string{"KL", "LH", "LH:1", "KL:2", "x"}[dice.IntN(5)] // the same ones come again
						r.Value, rows[topic][string(r.Key)] = []byte(value), value
					}
					c.send(topic, r)
					for range dice.IntN(6) {
						c.step()
					}
				}
				for c.step() {
				}
				require.Equal(t, joinedRows(name, rows), c.result, "seed %d", seed)
			}
		})
	}
}

// joinedRows joins from scratch.
func joinedRows(name string, rows map[string]map[string]string) map[string]string {
	right := rows["airlines"]
	if name == "join-foreign-self" {
		right = rows["flights"]
	}
	joined := make(map[string]string)
	for key, flight := range rows["flights"] {
		airline, refers := airlineOf(key, flight)
		row, found := right[airline]
		switch {
		case refers && found:
			joined[key] = withAirline(flight, row)
		case name == "left-join-foreign":
			joined[key] = withAirlineIfAny(flight, nil)
		}
	}
	return joined
}

// taskCluster runs a topology as tasks with several partitions, in an order that dice decide: only the records of one
// partition of a topic stay in order.
type taskCluster struct {
	t      *testing.T
	top    *topology.Topology
	sizes  map[string]int32 // partitions by topic
	dice   *rand.Rand
	tasks  map[place]*engine.Task
	queues map[place][]engine.RawRecord
	places []place // of queues
	result map[string]string
}

// place is a partition of a topic or group.
type place struct {
	name      string
	partition int32
}

func newTaskCluster(t *testing.T, top *topology.Topology, sizes map[string]int32, dice *rand.Rand) *taskCluster {
	t.Helper()
	c := &taskCluster{
		t: t, top: top, sizes: sizes, dice: dice, tasks: make(map[place]*engine.Task), queues: make(map[place][]engine.RawRecord),
		result: make(map[string]string),
	}
	for _, sub := range top.SubTopologies() {
		n := sizes[sub.Inputs()[0].Topic]
		for _, in := range sub.Inputs() {
			sizes[in.Topic] = n
		}
		for p := range n {
			part, err := state.NewMemory().Open(p)
			require.NoError(t, err)
			task, err := sub.NewTask(engine.TaskConfig{Partition: p, State: part, Sink: c})
			require.NoError(t, err)
			t.Cleanup(task.Close)
			c.tasks[place{sub.Group(), p}] = task
		}
	}
	return c
}

func (c *taskCluster) Send(topic string, r engine.RawRecord) error {
	c.send(topic, r)
	return nil
}

func (c *taskCluster) send(topic string, r engine.RawRecord) {
	if topic == "out" {
		delete(c.result, string(r.Key))
		if r.Value != nil {
			c.result[string(r.Key)] = string(r.Value)
		}
		return
	}
	at := place{topic, topology.Partition(r.Key, c.sizes[topic])}
	if r.Pinned {
		at.partition = r.Partition
	}
	if !slices.Contains(c.places, at) {
		c.places = append(c.places, at)
	}
	c.queues[at] = append(c.queues[at], r)
}

// step lets some task process a record; false means that there is none.
func (c *taskCluster) step() bool {
	var waiting []place
	for _, at := range c.places {
		if len(c.queues[at]) > 0 {
			waiting = append(waiting, at)
		}
	}
	if len(waiting) == 0 {
		return false
	}
	at := waiting[c.dice.IntN(len(waiting))]
	r := c.queues[at][0]
	c.queues[at] = c.queues[at][1:]
	for _, sub := range c.top.SubTopologies() {
		for i, in := range sub.Inputs() {
			if in.Topic == at.name {
				require.NoError(c.t, c.tasks[place{sub.Group(), at.partition}].Process(i, &r), fmt.Sprint(at))
			}
		}
	}
	return true
}

// A subscription without a foreign key gets its answer from any task: it is partitioned by its own key.
func TestForeignJoin_answersGoWhereTheRowIs(t *testing.T) {
	top := build(t, "app", foreignScenarios()["left-join-foreign"].Define)
	left, right := top.SubTopologies()[0], top.SubTopologies()[1]
	require.True(t, left.Inputs()[1].Follows)
	require.True(t, right.Inputs()[1].Follows)
	var sink recorder
	newTask := func(sub *topology.SubTopology, partition int32) *engine.Task {
		part, err := state.NewMemory().Open(partition)
		require.NoError(t, err)
		task, err := sub.NewTask(engine.TaskConfig{Partition: partition, State: part, Sink: &sink})
		require.NoError(t, err)
		t.Cleanup(task.Close)
		return task
	}
	require.NoError(t, newTask(left, 5).Process(0, &engine.RawRecord{Key: []byte("1"), Value: []byte("x")}))
	require.Len(t, sink.sent, 1)
	require.Equal(t, "1", string(sink.sent[0].Key))
	require.False(t, sink.sent[0].Pinned)
	require.NoError(t, newTask(right, 0).Process(1, &sink.sent[0]))
	require.Len(t, sink.sent, 2)
	require.Equal(t, "1", string(sink.sent[1].Key))
	require.True(t, sink.sent[1].Pinned)
	require.Equal(t, int32(5), sink.sent[1].Partition)
}
