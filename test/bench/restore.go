package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/processors"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
)

// runRestore loads both changelogs and measures both restores.
func runRestore(ctx context.Context, o options, out io.Writer) error {
	name := fmt.Sprintf("bench-restore-%d", time.Now().UnixNano())
	ours := changelog{topic: name + "-counts-table", row: func(key []byte, count int64) *kgo.Record {
		value := binary.BigEndian.AppendUint64(nil, uint64(count))
		return &kgo.Record{Key: state.AppendRowKey(nil, "counts", key), Value: state.AppendRowValue(nil, time.Now().UnixMilli(), value)}
	}}
	if err := makeInput(ctx, o, name); err != nil {
		return err
	}
	fmt.Fprintf(out, "loading %d changelog records of %d keys\n", o.records, o.keys)
	if err := ours.load(ctx, o); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	mine, err := runWorker(exec.CommandContext(ctx, self, "--worker", "restore", "--brokers", o.brokers, "--topic", name,
		"--records", fmt.Sprint(o.records), "--cpuprofile", o.cpuProfile))
	if err != nil {
		return err
	}
	printRestore(out, "millrace", mine)
	if o.alone {
		return nil
	}
	theirs := changelog{topic: name + "-ks-counts-changelog", row: func(key []byte, count int64) *kgo.Record {
		return &kgo.Record{Key: key, Value: binary.BigEndian.AppendUint64(nil, uint64(count))}
	}}
	if err := theirs.load(ctx, o); err != nil {
		return err
	}
	peer, err := runKafkaStreams(ctx, o, "RestoreBench", name)
	if err != nil {
		return err
	}
	printRestore(out, "Kafka Streams", peer)
	fmt.Fprintf(out, "ratio restore %.2f\n", mine.perCPUSecond()/peer.perCPUSecond())
	return nil
}

func printRestore(out io.Writer, who string, r result) {
	fmt.Fprintf(out, "%-14s %v  %.0f records per second\n", who, r, float64(r.records)/r.wall.Seconds())
}

// makeInput makes the topic that is counted. It is empty: nothing is left to do after the restore.
func makeInput(ctx context.Context, o options, topic string) error {
	kafka, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(o.brokers, ",")...))
	if err != nil {
		return err
	}
	defer kafka.Close()
	if _, err := kadm.NewClient(kafka).CreateTopic(ctx, int32(o.partitions), 1, nil, topic); err != nil {
		return fmt.Errorf("create topic %s: %w", topic, err)
	}
	return nil
}

// changelog is the table of a count.
type changelog struct {
	topic string
	row   func(key []byte, count int64) *kgo.Record
}

// perTransaction is how many rows a commit writes: 100 ms of a count of 200,000 records per second.
const perTransaction = 20_000

func (c changelog) load(ctx context.Context, o options) error {
	kafka, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(o.brokers, ",")...),
		kgo.TransactionalID(c.topic), kgo.MaxBufferedRecords(200_000))
	if err != nil {
		return err
	}
	defer kafka.Close()
	compacted := map[string]*string{"cleanup.policy": new("compact")}
	if _, err := kadm.NewClient(kafka).CreateTopic(ctx, int32(o.partitions), 1, compacted, c.topic); err != nil {
		return fmt.Errorf("create topic %s: %w", c.topic, err)
	}
	counts := make([]int64, o.keys)
	var failed atomic.Pointer[error]
	random := uint64(1)
	for left := o.records; left > 0; left -= perTransaction {
		if err := kafka.BeginTransaction(); err != nil {
			return err
		}
		for range min(left, perTransaction) {
			random = random*6364136223846793005 + 1442695040888963407 // the same records in every run
			key := (random >> 33) % uint64(o.keys)
			counts[key]++
			rec := c.row(fmt.Appendf(nil, "%08d", key), counts[key])
			rec.Topic = c.topic
			kafka.Produce(ctx, rec, func(_ *kgo.Record, err error) {
				if err != nil {
					failed.CompareAndSwap(nil, &err)
				}
			})
		}
		if err := kafka.Flush(ctx); err != nil {
			return err
		}
		if err := failed.Load(); err != nil {
			return fmt.Errorf("fill topic %s: %w", c.topic, *err)
		}
		if err := kafka.EndTransaction(ctx, kgo.TryCommit); err != nil {
			return fmt.Errorf("fill topic %s: %w", c.topic, err)
		}
	}
	return nil
}

// restoreWorker is the measured process: it restores the count's table and prints the cost.
func restoreWorker(ctx context.Context, o options, out io.Writer) error {
	b := topology.NewBuilder(o.topic)
	topology.Source(b, o.topic, codecs.Bytes, codecs.Bytes).GroupByKey().Count("counts")
	top, err := b.Build()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "millrace-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if o.cpuProfile != "" {
		f, err := os.Create(o.cpuProfile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	var records atomic.Int64
	running := make(chan struct{})
	app, err := processors.New(top, processors.Config{
		Brokers: strings.Split(o.brokers, ","), Dir: dir, Replication: 1,
		Hooks: processors.Hooks{
			StateChanged: func(_, to processors.State) {
				if to == processors.Running {
					close(running)
				}
			},
			RestoreProgress: func(p processors.RestoreProgress) {
				if p.Done {
					records.Add(p.Records)
				}
			},
		},
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cpu, wall := cpuTime(), time.Now()
	done := make(chan error, 1)
	go func() { done <- app.Run(ctx) }()
	select {
	case <-running:
	case err := <-done:
		return err
	}
	if n := records.Load(); n != int64(o.records) {
		return fmt.Errorf("%d records were restored, %d were written", n, o.records)
	}
	fmt.Fprintf(out, "records=%d cpu_ns=%d wall_ns=%d\n", records.Load(), cpuTime()-cpu, time.Since(wall))
	cancel()
	return <-done
}
