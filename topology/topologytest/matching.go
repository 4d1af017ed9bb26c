package topologytest

import (
	"slices"

	"github.com/seed84377926/millrace/topology"
)

// reads reports whether a task or a global table reads the topic.
func (d *Driver) reads(topic string) bool {
	return readsTopic(d.top, topic) || slices.ContainsFunc(d.globals, func(g *globalTable) bool { return g.topic == topic })
}

func readsTopic(top *topology.Topology, topic string) bool {
	return slices.ContainsFunc(top.SubTopologies(), func(sub *topology.SubTopology) bool {
		return slices.ContainsFunc(sub.Inputs(), func(in topology.Input) bool { return in.Topic == topic })
	})
}

// matchOutputs makes patterns match the topics that the topology writes.
func (d *Driver) matchOutputs() (err error) {
	for _, sub := range d.top.SubTopologies() {
		d.matching = append(d.matching, sub.Outputs()...)
	}
	d.top, err = d.top.Resolve(d.matching)
	return err
}

// discover makes the tasks read a topic that matches the pattern of a source, as if the application were started again.
// It reports false if there is no such pattern.
func (d *Driver) discover(topic string) bool {
	d.t.Helper()
	matching := append(d.matching, topic)
	resolved, err := d.top.Resolve(matching)
	d.must(err)
	if !readsTopic(resolved, topic) {
		return false
	}
	d.close()
	d.top, d.matching = resolved, matching
	tasks, err := d.size()
	d.must(err)
	runners := d.runners
	for _, sub := range resolved.SubTopologies() {
		n := slices.IndexFunc(runners, func(r *runner) bool { return r.sub.Group() != sub.Group() })
		if n < 0 {
			n = len(runners)
		}
		if n != int(tasks[sub.Group()]) {
			d.t.Fatalf("topic %q: sub-topology %q would need %d tasks instead of %d; give it fewer partitions",
				topic, sub.Name(), tasks[sub.Group()], n)
		}
		for _, r := range runners[:n] {
			r.sub, r.inputs = sub, sub.Inputs()
			r.queues = make([][]queued, len(r.inputs))
		}
		runners = runners[n:]
	}
	d.connect()
	d.open()
	d.rollback(d.pending)
	return true
}
