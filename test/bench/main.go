// Command bench measures millrace beside its peers, on a real broker that is running already, and prints ratios: on a
// shared machine an absolute figure means nothing, but the ratio of two figures of one run does.
//
//	go run ./test/bench --brokers 127.0.0.1:19092
//
// The workload is the exactly-once count: 4 partitions, 100-byte values, 8-byte keys of 100,000 uniform ones. Each peer
// is a separate process and measures its CPU time for the second half of the records, when it is warm. The last line is
// "ratio count-eos R": records per CPU-second of millrace, divided by those of Kafka Streams.
//
// With --restore the workload is the changelog of such a count, --records of them for --keys keys, which a process with
// an empty directory restores; both get the same rows, each in its own format. The measurement covers the whole
// process, from its start to the end of the restore. The last line is "ratio restore R".
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// options are the command line.
type options struct {
	brokers    string
	records    int
	keys       int
	partitions int
	cpuProfile string
	memProfile string
	alone      bool
	worker     string
	topic      string
	restore    bool
}

func main() {
	var o options
	flag.StringVar(&o.brokers, "brokers", "", "host:port of a running Apache Kafka (required)")
	flag.IntVar(&o.records, "records", 1_000_000, "records to count")
	flag.IntVar(&o.keys, "keys", 100_000, "different keys")
	flag.IntVar(&o.partitions, "partitions", 4, "partitions of the topic")
	flag.StringVar(&o.cpuProfile, "cpuprofile", "", "write a CPU profile of millrace's second half to this file")
	flag.StringVar(&o.memProfile, "memprofile", "", "write a profile of millrace's allocations in the second half to this file")
	flag.BoolVar(&o.alone, "alone", false, "measure millrace only")
	flag.BoolVar(&o.restore, "restore", false, "measure the restore of a count's changelog instead of the count")
	flag.StringVar(&o.worker, "worker", "", "internal: run as the process that is measured")
	flag.StringVar(&o.topic, "topic", "", "internal: the topic of the worker")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, o, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to stop
	}
}

func run(ctx context.Context, o options, out io.Writer) error {
	if o.brokers == "" {
		return errors.New("--brokers is missing: start a broker (make kafka-start) and name its address")
	}
	switch o.worker {
	case "count":
		return countWorker(ctx, o, out)
	case "restore":
		return restoreWorker(ctx, o, out)
	}
	if o.restore {
		return runRestore(ctx, o, out)
	}
	name := fmt.Sprintf("bench-%d", time.Now().UnixNano())
	fmt.Fprintf(out, "loading %d records into %s\n", o.records, name)
	if err := load(ctx, o, name); err != nil {
		return err
	}
	ours, err := measureMillrace(ctx, o, name)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "millrace       %v\n", ours)
	if o.alone {
		return nil
	}
	theirs, err := measureKafkaStreams(ctx, o, name)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Kafka Streams  %v\n", theirs)
	fmt.Fprintf(out, "ratio count-eos %.2f\n", ours.perCPUSecond()/theirs.perCPUSecond())
	return nil
}

// load makes the topic and fills it.
func load(ctx context.Context, o options, topic string) error {
	kafka, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(o.brokers, ",")...), kgo.MaxBufferedRecords(200_000))
	if err != nil {
		return err
	}
	defer kafka.Close()
	if _, err := kadm.NewClient(kafka).CreateTopic(ctx, int32(o.partitions), 1, nil, topic); err != nil {
		return fmt.Errorf("create topic %s: %w", topic, err)
	}
	value := bytes.Repeat([]byte("v"), 100)
	failed := make(chan error, 1)
	key := uint64(1)
	for range o.records {
		key = key*6364136223846793005 + 1442695040888963407 // the same records in every run
		kafka.Produce(ctx, &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "%08d", (key>>33)%uint64(o.keys)), Value: value},
			func(_ *kgo.Record, err error) {
				if err != nil {
					select {
					case failed <- err:
					default:
					}
				}
			})
	}
	if err := kafka.Flush(ctx); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return fmt.Errorf("fill topic %s: %w", topic, err)
	default:
		return nil
	}
}

// result is the cost of the second half of a run.
type result struct {
	records   int64
	cpu, wall time.Duration
	allocs    int64 // on the heap, 0 if unknown
}

func (r result) perCPUSecond() float64 { return float64(r.records) / r.cpu.Seconds() }

func (r result) String() string {
	text := fmt.Sprintf("%8.0f records per CPU-second  (%d records, %.2f CPU-seconds, %.2f s)",
		r.perCPUSecond(), r.records, r.cpu.Seconds(), r.wall.Seconds())
	if r.allocs > 0 {
		text += fmt.Sprintf(", %.2f allocations per record", float64(r.allocs)/float64(r.records))
	}
	return text
}

// parseResult reads the line a worker prints.
func parseResult(output string) (result, error) {
	var r result
	line := output[strings.LastIndex(strings.TrimRight(output, "\n"), "\n")+1:]
	n, err := fmt.Sscanf(line, "records=%d cpu_ns=%d wall_ns=%d allocs=%d", &r.records, &r.cpu, &r.wall, &r.allocs)
	if n < 3 { // the peers count no allocations
		return result{}, fmt.Errorf("worker printed %q: %w", output, err)
	}
	return r, nil
}

func measureMillrace(ctx context.Context, o options, topic string) (result, error) {
	self, err := os.Executable()
	if err != nil {
		return result{}, err
	}
	return runWorker(exec.CommandContext(ctx, self, "--worker", "count", "--brokers", o.brokers, "--topic", topic,
		"--records", fmt.Sprint(o.records), "--cpuprofile", o.cpuProfile, "--memprofile", o.memProfile))
}

func runWorker(cmd *exec.Cmd) (result, error) {
	cmd.Stderr = os.Stderr
	output, err := cmd.Output()
	if err != nil {
		return result{}, fmt.Errorf("%s: %w\n%s", cmd.Path, err, output)
	}
	return parseResult(string(output))
}
