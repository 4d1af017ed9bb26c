package views_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/embedded"
	"github.com/seed84377926/millrace/processors"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/views"
)

// A whole application: records in, a projection, and a query that waits until it reflects them.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	dir, err := os.MkdirTemp("", "views-example")
	check(err)
	defer os.RemoveAll(dir)
	broker, err := embedded.Start(ctx, embedded.Config{Dir: dir + "/broker"})
	check(err)
	defer broker.Close()

	kafka, err := kgo.NewClient(kgo.SeedBrokers(broker.Addrs()...))
	check(err)
	defer kafka.Close()
	_, err = kadm.NewClient(kafka).CreateTopic(ctx, 1, 1, nil, "words")
	check(err)
	last, err := kafka.ProduceSync(ctx,
		&kgo.Record{Topic: "words", Key: []byte("mill"), Value: []byte("1")},
		&kgo.Record{Topic: "words", Key: []byte("race"), Value: []byte("2")},
		&kgo.Record{Topic: "words", Key: []byte("mill"), Value: []byte("3")},
	).First()
	check(err)

	b := topology.NewBuilder("example")
	topology.Source(b, "words", codecs.String, codecs.String).GroupByKey().Count("counts")
	top, err := b.Build()
	check(err)
	app, err := processors.New(top, processors.Config{Brokers: broker.Addrs(), Dir: dir + "/state"})
	check(err)
	ended := make(chan error, 2)
	go func() { ended <- app.Run(ctx) }()

	vs, err := views.Open(ctx, views.Config{Brokers: broker.Addrs(), Dir: dir + "/views"}, top.Tables()...)
	check(err)
	go func() { ended <- vs.Run(ctx) }()
	counts, err := views.KeyValue(vs, "counts", codecs.String, codecs.Int64)
	check(err)

	written := state.Offsets{{Topic: "words", Partition: 0}: last.Offset + 3}
	check(counts.Wait(ctx, written))
	for entry, err := range counts.Range(ctx, nil, nil) {
		check(err)
		fmt.Println(entry.Key, entry.Value)
	}
	_, ok, err := counts.Get(ctx, "stone")
	check(err)
	fmt.Println("stone known:", ok)

	cancel()
	check(<-ended)
	check(<-ended)
	// Output:
	// mill 2
	// race 1
	// stone known: false
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
