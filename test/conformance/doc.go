// Package conformance compares millrace with the output of Kafka Streams 4.3.1.
//
// # Recorded answers
//
// testdata/recorded has a file for each of a catalogue of topologies: random input, step by step, and what Kafka
// Streams wrote to the topic "out" after each step, with caching off. A step is one record or an advance of the wall
// clock; keys and values are text, and a windowed key is written key@start/end in milliseconds. oracle/Oracle.java
// defines the topologies in the DSL of Kafka Streams and recorded the files; the functions in programs_*_test.go define
// the same ones in the DSL of millrace. TestRecorded runs them and compares every key, value, timestamp, null and the
// order after every step. Then it runs each again with random commits, a tiny cache and crashes, restarts and restores
// in between: the outputs must be the same.
//
// Other seeds are recorded and compared by one command, which needs Java 17 and Maven:
//
//	make oracle SEEDS="101 102" STEPS=100
//
// Existing recordings, in any folder, are compared by
//
//	MILLRACE_RECORDED=/some/folder go test ./test/conformance -run TestRecorded
//
// A topology without a program fails.
//
// One fault of Kafka Streams is not copied: a versioned table may forget a deletion (docs/semantics.md, Order of
// updates). Where it matters to a step, tombstones_test.go computes what Kafka Streams must answer and what millrace
// must answer; TestRecorded logs how many steps these were. All other steps have the same answers.
//
// # Tables
//
// testdata/join_tables.json has the cases of upstream's own integration tests of joins, testdata/doc_tables.json the
// tables of its documentation. TestJoinTables and TestDocTables run them; where our output differs on purpose, the
// exception is listed there, step by step, with the reason.
//
// # The runtime
//
// TestRuntime runs the same programs as applications, with several partitions on an embedded broker each, restarts
// them, restores their state and lets their tasks be taken over at random places. It runs a third of them;
// MILLRACE_SEEDS=n runs n seeds of each, and
//
//	make conformance SEEDS=20
//
// does that.
//
// # Reference
//
// TestReference has a second, naive definition of what operators do: it computes the outputs of a record from all
// records up to it. Random programs on random input, out of order and late, must agree with it: all outputs, and the
// rows of the store in the end.
//
// # Seeds
//
// Whatever the tests choose at random comes from a seed that is in the name of the subtest. MILLRACE_SEED=n runs with
// that seed instead of the usual ones.
package conformance
