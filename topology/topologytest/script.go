package topologytest

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
)

// Scenario is a topology that scripts can use.
type Scenario struct {
	// Options are the options of the builder.
	Options []topology.BuilderOption
	// Define adds the operators.
	Define func(b *topology.Builder)
	// Formats says how the keys and values of a topic or store are shown. Without an entry they are text.
	Formats map[string]Format
}

// RunScripts runs the scripts in a folder, or one script, each as a test of its own. A script is a sequence of
// commands, each followed by ---- and the expected answer; go test -rewrite writes the answers again. Commands are:
//
//	topology name=NAME [commit-every=N] [commit-seed=N] [cache=BYTES]   start scenario NAME on empty state
//	         [partitions=N]                                             of all topics
//	         [partitions=TOPIC/N]                                       of one topic, 0 if it does not exist
//	         [max-time-ahead=DURATION]                                  see MaxTimeAhead
//	pipe TOPIC key=K value=V ts=N [header=NAME/VALUE] [partition=N]     answers the outputs; no key or value means null
//	pipe TOPIC                                                          several records: one line of arguments each
//	store NAME                                                          the rows of a store, of any kind but buffers
//	drops [late]                                                        the drops since the last time [and how late]
//	stream-time NAME                                                    of a sub-topology
//	advance-wall-clock DURATION                                         lets time pass, such as 5s
//	step-wall-clock DURATION                                            sets the clock, such as -1h; no time passes
//	commit, restart, crash, restore                                     what the Driver's methods do
//	describe, dot, json                                                 the topology
//
// An output is printed as "TOPIC: KEY -> VALUE @TIMESTAMP", with TOPIC/PARTITION if the topic has several. Values with
// special characters are written in parentheses.
func RunScripts(t *testing.T, path string, scenarios map[string]Scenario) {
	t.Helper()
	datadriven.Walk(t, path, func(t *testing.T, path string) {
		s := &script{scenarios: scenarios}
		datadriven.RunTest(t, path, func(t *testing.T, td *datadriven.TestData) string {
			t.Helper()
			answer, err := s.command(t, td)
			if err != nil {
				return fmt.Sprintf("error: %v\n", err)
			}
			return answer
		})
	})
}

// script is the state of one script.
type script struct {
	scenarios map[string]Scenario
	formats   map[string]Format
	top       *topology.Topology
	d         *Driver
	shown     int // of Driver.sent
	drops     int // of Driver.drops
}

func (s *script) command(t *testing.T, td *datadriven.TestData) (string, error) {
	t.Helper()
	if td.Cmd == "topology" {
		return s.start(t, td)
	}
	if s.d == nil {
		td.Fatalf(t, "no topology yet; begin with: topology name=…")
	}
	switch td.Cmd {
	case "pipe":
		return s.pipe(t, td)
	case "store":
		return s.store(td.CmdArgs[0].Key)
	case "drops":
		return s.printDrops(td.HasArg("late")), nil
	case "stream-time":
		return fmt.Sprintln(s.d.StreamTime(td.CmdArgs[0].Key)), nil
	case "advance-wall-clock":
		by, err := time.ParseDuration(td.CmdArgs[0].Key)
		if err != nil {
			td.Fatalf(t, "%v", err)
		}
		if err := s.d.TryAdvanceWallClock(by); err != nil {
			return "", err
		}
	case "step-wall-clock":
		by, err := time.ParseDuration(td.CmdArgs[0].Key)
		if err != nil {
			td.Fatalf(t, "%v", err)
		}
		if err := s.d.moveWallClock(by, 0); err != nil {
			return "", err
		}
	case "commit":
		s.d.Commit()
	case "restart":
		s.d.Restart()
	case "crash":
		s.d.Crash()
	case "restore":
		s.d.Restore()
	case "describe":
		return s.top.Describe(), nil
	case "dot":
		return s.top.DOT(), nil
	case "json":
		text, err := json.MarshalIndent(s.top.Description().WithoutSites(), "", "  ")
		return string(text) + "\n", err
	default:
		td.Fatalf(t, "unknown command %q", td.Cmd)
	}
	return s.outputs()
}

func (s *script) start(t *testing.T, td *datadriven.TestData) (string, error) {
	t.Helper()
	var name string
	var every, cache int
	var seed uint64
	td.ScanArgs(t, "name", &name)
	var opts []Option
	if td.MaybeScanArgs(t, "commit-every", &every) {
		opts = append(opts, CommitEvery(every))
	}
	if td.MaybeScanArgs(t, "commit-seed", &seed) {
		opts = append(opts, CommitRandomly(seed))
	}
	if td.MaybeScanArgs(t, "cache", &cache) {
		opts = append(opts, CacheBytes(int64(cache)))
	}
	var ahead string
	if td.MaybeScanArgs(t, "max-time-ahead", &ahead) {
		d, err := time.ParseDuration(ahead)
		if err != nil {
			td.Fatalf(t, "max-time-ahead: %v", err)
		}
		opts = append(opts, MaxTimeAhead(d))
	}
	for _, arg := range td.CmdArgs {
		if arg.Key != "partitions" {
			continue
		}
		for _, value := range arg.Vals {
			topic, text, one := strings.Cut(value, "/")
			if !one {
				text = value
			}
			n, err := strconv.ParseInt(text, 10, 32)
			if err != nil {
				td.Fatalf(t, "partitions: %v", err)
			}
			if one {
				opts = append(opts, TopicPartitions(topic, int32(n)))
			} else {
				opts = append(opts, Partitions(int32(n)))
			}
		}
	}
	scenario, ok := s.scenarios[name]
	if !ok {
		td.Fatalf(t, "no scenario is named %q", name)
	}
	b := topology.NewBuilder(name, scenario.Options...)
	scenario.Define(b)
	top, err := b.Build()
	if err != nil {
		return "", err
	}
	*s = script{scenarios: s.scenarios, formats: scenario.Formats, top: top, d: NewDriver(t, top, opts...)}
	return "", nil
}

// pipe pipes one record, or one for each line of input.
func (s *script) pipe(t *testing.T, td *datadriven.TestData) (string, error) {
	t.Helper()
	topic := td.CmdArgs[0].Key
	lines := [][]datadriven.CmdArg{td.CmdArgs[1:]}
	if td.Input != "" {
		lines = nil
		for line := range strings.Lines(td.Input) {
			_, args, err := datadriven.ParseLine("pipe " + line)
			if err != nil {
				td.Fatalf(t, "%v", err)
			}
			lines = append(lines, args)
		}
	}
	var out strings.Builder
	for _, args := range lines {
		r, err := s.parse(topic, args)
		if err != nil {
			td.Fatalf(t, "%v", err)
		}
		if err := s.d.PipeRaw(topic, r); err != nil {
			fmt.Fprintf(&out, "error: %v\n", err)
		}
		answer, err := s.outputs()
		if err != nil {
			return "", err
		}
		out.WriteString(answer)
	}
	return out.String(), nil
}

func (s *script) parse(topic string, args []datadriven.CmdArg) (r engine.RawRecord, err error) {
	for _, arg := range args {
		text := strings.Join(arg.Vals, ", ")
		switch arg.Key {
		case "key":
			r.Key, err = s.formats[topic].key().Encode(text)
		case "value":
			r.Value, err = s.formats[topic].value().Encode(text)
		case "ts":
			r.Timestamp, err = strconv.ParseInt(text, 10, 64)
		case "partition":
			var n int64
			n, err = strconv.ParseInt(text, 10, 32)
			r.Pinned, r.Partition = true, int32(n)
		case "header":
			name, value, _ := strings.Cut(text, "/")
			r.Headers = append(r.Headers, engine.Header{Key: name, Value: []byte(value)})
		default:
			err = fmt.Errorf("pipe has no argument %q", arg.Key)
		}
		if err != nil {
			return r, err
		}
	}
	return r, nil
}

// outputs prints the records sent since its last call to topics that are not internal.
func (s *script) outputs() (string, error) {
	var out strings.Builder
	s.shown = min(s.shown, len(s.d.sent))
	for _, sent := range s.d.sent[s.shown:] {
		if s.internal(sent.topic) {
			continue
		}
		line, err := s.formats[sent.topic].print(sent.Key, "", sent.Value)
		if err != nil {
			return "", fmt.Errorf("output %q: %w", sent.topic, err)
		}
		fmt.Fprintf(&out, "%s: %s @%d", s.place(sent.topic, sent.partition), line, sent.Timestamp)
		for _, h := range sent.Headers {
			fmt.Fprintf(&out, " %s/%s", h.Key, h.Value)
		}
		out.WriteByte('\n')
	}
	s.shown = len(s.d.sent)
	return out.String(), nil
}

// place prints a partition: only the topic if the topic has no other partition.
func (s *script) place(topic string, partition int32) string {
	if n, err := s.d.partitionsOf(topic); err == nil && n > 1 {
		return fmt.Sprintf("%s/%d", topic, partition)
	}
	return topic
}

func (s *script) internal(topic string) bool {
	for _, r := range s.d.runners {
		for _, input := range r.inputs {
			if input.Repartition && input.Topic == topic {
				return true
			}
		}
	}
	return false
}

// print prints a record or a row. span identifies one of several rows of a key.
func (f Format) print(key []byte, span string, value []byte) (string, error) {
	k, err := printed(f.key(), key)
	if err != nil {
		return "", fmt.Errorf("key %q: %w", key, err)
	}
	v, err := printed(f.value(), value)
	if err != nil {
		return "", fmt.Errorf("value %q: %w", value, err)
	}
	return k + span + " -> " + v, nil
}

func (s *script) printDrops(late bool) string {
	var out strings.Builder
	drops := s.d.Drops()
	s.drops = min(s.drops, len(drops))
	for _, drop := range drops[s.drops:] {
		fmt.Fprintf(&out, "%s: %s (%s offset %d)", drop.Node, drop.Reason, s.place(drop.Topic, drop.Partition), drop.Offset)
		if late && drop.Late > 0 {
			fmt.Fprintf(&out, " @%d late by %d ms", drop.Timestamp, drop.Late)
		}
		out.WriteString("\n")
	}
	s.drops = len(drops)
	return out.String()
}
