// Package topologytest runs a topology in a test: no broker, no goroutine, no clock. What is piped into an input topic
// runs through all sub-topologies before the call returns, repartition topics included, and the outputs can be read
// from the output topics. It is what Kafka Streams calls a TopologyTestDriver.
//
//	d := topologytest.NewDriver(t, top)
//	flights := topologytest.Input(d, "flights", codecs.String, codecs.String)
//	counts := topologytest.Output(d, "counts", codecs.String, codecs.Int64)
//	flights.Pipe("KL", "KL1001", 1000)
//	require.Equal(t, []topology.Record[string, int64]{{Key: "KL", Value: 1, Timestamp: 1000}}, counts.Drain())
//
// All topics have one partition, and each sub-topology has one task on an in-memory engine. With [Partitions] they have
// several: a task for each, with state of its own. Records go to the partition of their key, as in Kafka. A task that
// has records of several inputs takes the one with the smallest timestamp first. When several tasks have something to
// do, the first sub-topology goes on, and in it the task with the smallest timestamp. So the same input gives the same
// output, in the same order. Each Pipe runs until nothing is left to do.
//
// The driver commits after each piped record; [CommitEvery] and [CommitRandomly] change that, [CacheBytes] makes the
// cache tiny, and [Driver.Restart], [Driver.Crash] and [Driver.Restore] interrupt the run. None of these may change any
// output, which makes a good test of operators: the same input, another seed, the same output.
//
// [RunScripts] runs scripts: files that tell a story in commands and the answers to them.
package topologytest
