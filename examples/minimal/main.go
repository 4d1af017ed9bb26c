// Command minimal is the smallest program that runs a topology on a Kafka cluster. It counts the words of the topic
// "lines" and writes each new count to the topic "counts":
//
//	BROKERS=127.0.0.1:9092 go run ./examples/minimal
//
// Both topics must exist. The counts live in the directory minimal-state; a second run continues with them. Ctrl-C ends
// the program. "make footprint" measures what such a program inherits.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/processors"
	"github.com/seed84377926/millrace/topology"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Getenv("BROKERS")); err != nil {
		fmt.Fprintln(os.Stderr, "minimal:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to stop
	}
}

// run counts words on the cluster at brokers, host:port addresses separated by commas, until ctx ends.
func run(ctx context.Context, brokers string) error {
	if brokers == "" {
		return errors.New("BROKERS is empty; set it to the host:port of a Kafka broker")
	}
	top, err := newTopology()
	if err != nil {
		return err
	}
	app, err := processors.New(top, processors.Config{
		Brokers: strings.Split(brokers, ","),
		Dir:     "minimal-state",
		Logger:  slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return err
	}
	return app.Run(ctx)
}

// newTopology splits lines into words, sends each word to the partition of the word, and counts it there.
func newTopology() (*topology.Topology, error) {
	b := topology.NewBuilder("minimal")
	topology.Source(b, "lines", codecs.String, codecs.String).
		FlatMapValues(words).
		GroupBy("by-word", theWord, codecs.String, codecs.String).
		Count("counts-by-word").
		ToStream().
		To("counts", codecs.String, codecs.Int64)
	return b.Build()
}

func words(line string, emit func(word string)) {
	for word := range strings.FieldsSeq(line) {
		emit(strings.ToLower(word))
	}
}

func theWord(_, word string) string { return word }
