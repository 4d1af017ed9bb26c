package arch

// row says which packages of this repository the packages of a pattern may import in their non-test files. The first
// row that matches a package is the one that counts.
type row struct {
	pkg string   // pattern: a package, or "folder/..." for it and all below
	may []string // patterns of packages
	why string
}

// layers is the table of imports. Every package needs a row: adding a package includes the decision where it stands.
func layers() []row {
	return []row{
		{"codecs", nil, "the bottom: bytes and values, nothing else"},
		{"security", nil, "settings of connections, set by users and read by internal/broker"},
		{"codecs/...", []string{"codecs"}, "a codec that needs a library lives in a package of its own"},

		{"state/statetest", []string{"state", "codecs"}, "a conformance suite knows the contract, never an engine"},
		{"state/pebblestore", []string{"state", "internal/invariants"}, "an engine sees encoded rows only"},
		{"state", []string{"codecs", "internal/invariants"}, "typed stores encode and decode"},

		{"topology/engine", []string{"state", "codecs"}, "it runs programs of operators, and knows no operator"},
		{"topology/describe", nil, "data about topologies: it is stored, so it must not depend on how a topology is built or run"},
		{"topology/partitions", []string{"topology"}, "the runtime and the test driver split a topology into the same tasks"},
		{"topology/topologytest", []string{"topology", "topology/engine", "state", "codecs", "topology/partitions"}, "the test driver runs a topology on in-memory state"},
		{"topology", []string{"topology/engine", "topology/describe", "state", "codecs", "internal/murmur2"}, "operators keep state; how it is stored or shipped is not their concern"},

		{"aggregates/aggregatestest", []string{"aggregates", "codecs"}, "given/when/then over a decider"},
		{"aggregates", []string{"codecs"}, "deciding is a pure function; streams have no part in it"},

		{"internal/murmur2", nil, "Kafka's hash of keys, shared by all who place a record"},
		{"internal/clientlog", nil, "it stands below all that open clients: internal/broker and embedded"},
		{"internal/brokertest", []string{"embedded", "test/kafka"}, "the tests of internal/broker use it from inside, so it imports nothing of that"},
		{"internal/invariants", nil, "checks at run time, which any package may make of its own invariants"},
		{"internal/fault", nil, "places where the crash suite breaks the runtime; anything impure may name one"},
		{"internal/assignment", nil, "who gets which task is a pure function of what the members tell"},
		{"internal/broker", []string{"security", "state", "codecs", "internal/murmur2", "internal/assignment", "internal/clientlog", "internal/fault", "internal/invariants"}, "offsets and positions are vocabulary of state; topologies are not its concern"},
		{"internal/localcopy", []string{"state", "state/pebblestore", "internal/broker"}, "a copy of a topic that is dropped and read again when it is damaged; what its rows mean is known to its user"},
		{"internal/arch", nil, "it reads the others as text"},
		{"internal/arch/structure", nil, "it measures the others from outside"},
		{"internal/comments/...", []string{"internal/comments"}, "text in, text out"},

		{"embedded", []string{"internal/clientlog"}, "a broker of its own that knows nothing of streams; a program that does not import it links no kfake"},
		{"processors/internal/observe", nil, "instruments of the runtime: it records into them, and they know nothing of it"},
		{"processors", []string{"processors/internal/observe", "security", "topology", "topology/engine", "topology/describe", "topology/partitions", "state", "state/pebblestore", "codecs", "internal/..."}, "the runtime brings logic, state and broker together"},
		{"telemetry", []string{"processors", "topology/engine"}, "an adapter of the runtime's hooks: the runtime must not know it"},
		{"views", []string{"security", "state", "state/pebblestore", "codecs", "internal/..."}, "a view reads tables; it must not know which topology wrote them"},
		{"edge", []string{"security", "views", "aggregates", "state", "state/pebblestore", "codecs", "internal/..."}, "commands go to aggregates, whose owner keeps them in an engine of state; queries go to views. Never topology or processors: an edge scales alone"},

		{"cmd/millrace", []string{"embedded", "internal/broker", "security", "processors", "views", "topology/...", "state", "codecs"}, "the operator's tool looks at clusters through the client that all else uses"},
		{"examples/...", []string{"examples/...", "embedded", "security", "edge", "views", "processors", "aggregates", "topology/...", "state/...", "codecs/..."}, "an example uses what a user can: nothing internal"},
		{"test/...", []string{"test/...", "examples/...", "embedded", "security", "edge", "views", "processors", "aggregates/...", "topology/...", "state/...", "codecs/...", "internal/broker", "internal/brokertest", "internal/fault"}, "the suites drive the public API from outside, start brokers and break things"},
	}
}

// confinement says where an outside library may be imported.
type confinement struct {
	library string   // pattern of import paths
	only    []string // patterns of packages
	why     string
}

// confinements is the table of outside libraries. The first row that matches an import counts.
func confinements() []confinement {
	return []confinement{
		{"github.com/lovoo/goka/...", []string{"internal/broker"}, "its root package links test doubles into every binary, and its boundaries are untyped"},
		{"github.com/IBM/sarama/...", []string{"internal/broker"}, "only the seams below goka speak it; all else is franz-go"},
		{"github.com/twmb/franz-go/pkg/kfake/...", []string{"embedded"}, "the embedded broker has one owner, which repairs what a crash leaves; a program that does not import it links no kfake"},
		{"github.com/twmb/franz-go/pkg/kadm/...", []string{"internal/broker", "embedded", "cmd/millrace"}, "administration goes through broker.Client; the operator's tool prints what it answers"},
		{"github.com/twmb/franz-go/pkg/kgo/...", []string{"internal/broker", "internal/clientlog", "embedded", "processors", "views", "edge", "examples/..."}, "records travel as kgo.Record between broker and those who fill them, so that none is copied; the outside systems of an example bring their own client"},
		{"github.com/twmb/franz-go/...", []string{"internal/broker", "embedded"}, "one place knows how records reach Kafka, and one how a broker keeps them"},
		{"github.com/cockroachdb/pebble/...", []string{"state/pebblestore"}, "everyone else sees state.Engine"},
		{"github.com/gorilla/mux/...", []string{"edge"}, "HTTP is the edge's"},
		{"github.com/prometheus/client_golang/...", []string{"processors", "edge", "views", "internal/...", "examples/..."}, "pure packages count nothing themselves; a program owns the registry"},
		{"go.opentelemetry.io/...", []string{"telemetry"}, "who does not trace links nothing of it"},
		{"github.com/spf13/cobra/...", []string{"cmd/millrace"}, "the command line has one owner"},
	}
}

// confinedFunction is a function of an outside library that fewer packages may use than may import the library.
type confinedFunction struct {
	library, function string
	only              []string
	why               string
}

// confinedFunctions is the table of such functions.
func confinedFunctions() []confinedFunction {
	return []confinedFunction{
		{"github.com/twmb/franz-go/pkg/kgo", "NewClient", []string{"internal/broker", "embedded", "examples/..."}, "who opens a client decides about transactions, fencing and isolation, and that is decided once"},
	}
}

// pure is the list of packages that only compute: the same input gives the same output, on any machine, at any time.
// Replay and the deterministic tests depend on that.
func pure() []string {
	return []string{"codecs", "state", "topology", "topology/engine", "topology/describe", "topology/partitions", "aggregates", "internal/murmur2", "internal/assignment", "internal/invariants"}
}

// impureImport is a package of the standard library that a pure package must not import, because it reaches out of the
// process or rolls dice.
type impureImport struct{ pattern, does string }

func impureImports() []impureImport {
	return []impureImport{
		{"net/...", "reaches the network"},
		{"os/...", "reaches files, processes and the environment"},
		{"syscall/...", "reaches the operating system"},
		{"io/ioutil", "reaches files"},
		{"log", "writes to a global"},
		{"log/syslog", "reaches the network"},
		{"math/rand/...", "rolls dice"},
		{"crypto/rand", "rolls dice"},
		{"plugin", "reaches files"},
		{"database/sql/...", "reaches databases"},
	}
}

// clockFunctions are the functions of package time that read or follow the clock. Its types and arithmetic are pure.
func clockFunctions() []string {
	return []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"}
}

// historical returns the documents that may name what does not exist any more.
func historical() []string { return []string{"CHANGELOG.md", "docs/decisions/..."} }

// bareSentinels returns the exported errors whose text does not begin with the name of their package, because it is a
// part of a message that names the store.
func bareSentinels() []string { return []string{"state.ErrTooOld", "state.ErrIndexIncomplete"} }

const (
	// longFile is worth a thought: is this one concept?
	longFile = 400
	// tooLongFile is not allowed.
	tooLongFile = 700
)
