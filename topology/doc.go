// Package topology describes stream processing as a graph of typed operators, and makes the programs that package
// engine runs.
//
// A [Builder] collects operators; [Source] and [TableOf] start, the methods of [Stream] and [Table] continue:
//
//	b := topology.NewBuilder("airport")
//	flights := topology.Source(b, "flights", codecs.String, codecs.JSON[Flight]())
//	airlines := topology.TableOf(b, "airlines", codecs.String, codecs.JSON[Airline]())
//	flights.
//		Filter(departed).
//		Rekey(byCarrier).Repartition("flights-by-carrier", codecs.String, codecs.JSON[Flight]()).
//		JoinTable(airlines, withName).
//		GroupByKey().
//		WindowedBy(topology.Tumbling(time.Hour).Grace(10 * time.Minute)).
//		Aggregate("delays-by-carrier", zeroDelay, addDelay, codecs.JSON[Delay]()).
//		ToStream(startOfWindow).
//		To("hourly-delays", codecs.String, codecs.JSON[Delay]())
//	top, err := b.Build()
//
// [Builder.Build] returns an immutable [Topology], or all mistakes at once, each with the place in the user's code. It
// cuts the graph where records change partition, at the repartitions, into [SubTopology] parts:
//
//	 flights ──▶ filter ──▶ rekey ──▶ │ topic flights-by-carrier │ ──▶ join ──▶ aggregate ──▶ to hourly-delays
//	                                  │                          │      ▲           │
//	                                  │                          │  airlines   delays-by-carrier
//	└────── sub-topology "flights" ──┘                          └─── sub-topology "delays-by-carrier" ───┘
//
// One processor group runs each sub-topology. It has as many tasks as the largest input has partitions, each an
// [engine.Task]. A task gets encoded records, keeps typed stores above a state.Partition and hands encoded records to
// an [engine.Sink].
//
// # Operators
//
// Functions given to operators must be pure and total: the same arguments give the same result, no I/O, no shared
// state, no panic. A failed commit is processed again, and only pure functions give the same results then. They must
// not modify what they are given.
//
// Records may have a null key or a null value. Functions of keys and values are called with the zero value of K for a
// null key, and never for a null value. The stateless operators pass a record with a null value on as it is, or with a
// null key if they make new keys; all other operators say what they do. These functions of a whole [Record] see all
// records: the functions of [Stream.FilterRecord], [Stream.MapRecord], [Stream.FlatMapRecord], [Split.BranchRecord],
// [Stream.Peek], [Stream.ForEach] and [Stream.ToDynamic], and the processors of [Stream.Process] and
// [Stream.ProcessValues]. [Stream.ProcessAsync] passes a record with a null value on without a call.
//
// An operator drops the records that it cannot use. Every drop is reported to [engine.TaskConfig].OnDrop with its
// reason and, if the record came too late, by how much.
//
// # Time
//
//   - T1: The stream time of a task is the largest timestamp of the records it has processed; downstream of several
//     upstream tasks, the time of the slowest, if that is less. It never goes back.
//   - T2: Each windowed operator has a stream time of its own: the same, over the records that reach it, so that a
//     filter before it delays it. It is part of the state: it survives restarts.
//     If several streams flow into one windowed aggregate, each has its own.
//     With [AdvanceWhenIdle], it also goes on as time passes while the input pauses.
//   - T3: A result that depends on several records has the largest of their timestamps. A join of a stream with a table
//     or a global table is the exception: its result has the timestamp of the stream's record, even if the row is newer.
//
// # Partitioning and names
//
// Equal keys are in the same partition as long as no operator changes keys. These do: [Stream.Rekey], [Stream.Map],
// [Stream.MapRecord], [Stream.FlatMap], [Stream.FlatMapRecord], [Stream.Process] and [WindowedTable.ToStream]. An
// operator that needs equal keys in one partition refuses such a stream until [Stream.Repartition] has sent it through
// a topic.
//
// Names of stores and repartitions are chosen by the user and become parts of topic names. The position of an operator
// in the program never becomes a part of them, so operators can be added and removed without losing state:
//
//	group              <app>-<sub-topology>
//	changelog topic    <app>-<sub-topology>-table
//	repartition topic  <app>-<name>-repartition
//	foreign-key join   <app>-<name>-subscription-registration, <app>-<name>-subscription-response
//	description        <app>-topology             a topic, see [Topology.DescriptionTopic]
//
// A sub-topology has the name of its first stateful operator that the user named; an index does not count. Without such
// an operator it has the name of its first source: the topic, the name of the repartition, or the name that
// [SourceMatching] got. A named stateful operator that is added before the first one would rename the group, and leave
// its state behind: [InSubTopology] fixes the name. [describe.Compare] says what such a change means.
//
// The package does no I/O, reads no clock, starts no goroutine and uses no random numbers. A Builder and its streams
// belong to one goroutine, a Topology is safe for concurrent use.
package topology

// Names of files: an operator is in the file that has its name, together with its kinds (filter.go: Filter, FilterNot
// and FilterRecord, of streams and of tables). A family whose parts need files of their own puts its name first: join…,
// aggregate…, windowed…, source…; two sides of a join are named in their order (joinstreamtable.go). Tests of all
// operators of a family are in scripts_<family>_test.go (behaviour) and validate_<family>_test.go (mistakes). Examples
// are in example_operators_<family>_test.go; examples of globals, processors, source and suppress are in
// example_<family>_test.go.
//
// Files refer to files below them, and none refers up (make structure REFS=topology). From the top:
//
//	the operators                                a file or family each, also process.go with processorcontext.go, trial.go,
//	                                             schedule.go and tablerows.go
//	sourceinput.go, sourcetimestamp.go,          how topics are read and written, and the rows of tables
//	output.go, partitioner.go, tablestore.go
//	stores.go, scope.go                          the stores that processors declare, and what they have of their task
//	stream.go, view.go, record.go, emitter.go,   what runs between operators
//	windowedkey.go
//	builder.go, cut.go, copartition.go           Build: trials, the cut into sub-topologies, inputs that are brought together
//	description.go, flow.go, topology.go         what Build returns, and which topics reach what
//	graph.go                                     nodes, stores and mistakes: it knows no kind of node
//	idle.go, insubtopology.go, policyoptions.go  functions that make options of no single operator
//	options.go                                   what options set; the other functions that make options are at their operators
//	names.go, mistakes.go, policy.go, drop.go,   need nothing of the package
//	headerscodec.go, sourcestart.go,
//	unavailable.go, walk.go
//
// An operator whose mistakes show later than at its call registers with the graph what Build has to call: trials,
// afterTrials, checks.
