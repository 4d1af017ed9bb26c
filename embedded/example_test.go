package embedded_test

import (
	"context"
	"fmt"
	"os"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/embedded"
)

// A broker keeps what it acknowledged from run to run.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "embedded-example")
	check(err)
	defer os.RemoveAll(dir)

	b, err := embedded.Start(ctx, embedded.Config{Dir: dir})
	check(err)
	writer, err := kgo.NewClient(kgo.SeedBrokers(b.Addrs()...))
	check(err)
	_, err = kadm.NewClient(writer).CreateTopic(ctx, 1, 1, nil, "flights")
	check(err)
	check(writer.ProduceSync(ctx, &kgo.Record{Topic: "flights", Value: []byte("UA1545 departed")}).FirstErr())
	writer.Close()
	check(b.Close())

	b, err = embedded.Start(ctx, embedded.Config{Dir: dir})
	check(err)
	defer b.Close()
	reader, err := kgo.NewClient(kgo.SeedBrokers(b.Addrs()...), kgo.ConsumeTopics("flights"))
	check(err)
	defer reader.Close()
	for record := range reader.PollFetches(ctx).RecordsAll() {
		fmt.Println(string(record.Value))
	}
	// Output: UA1545 departed
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
