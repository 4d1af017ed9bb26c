package edge_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/seed84377926/millrace/edge"
	"github.com/seed84377926/millrace/embedded"
	"github.com/seed84377926/millrace/internal/brokertest"
)

// BenchmarkCommands measures commands over HTTP, end to end on the embedded broker in memory, which shares the
// processors with the server and the clients.
func BenchmarkCommands(b *testing.B) {
	for _, clients := range []int{1, 16, 128} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			kafka := brokertest.Start(b, embedded.Config{})
			srv, err := edge.New(b.Context(), edge.Config{Name: "bench", Listen: "127.0.0.1:0", Brokers: kafka.Addrs(), Dir: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			srv.Aggregate(counterType(), edge.AggregateOptions{Path: "/v1/counters/{id}", Topic: "bench.events", Partitions: 4})
			ctx, stop := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() { done <- srv.Run(ctx) }()
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
			defer func() {
				client.CloseIdleConnections()
				stop()
				if err := <-done; err != nil {
					b.Error(err)
				}
			}()
			var next atomic.Int64
			post := func() {
				url := fmt.Sprintf("http://%s/v1/counters/%d/commands/change", srv.Addr(), next.Add(1)%1000)
				response, err := client.Post(url, "application/json", strings.NewReader(`{"by":1}`))
				if err != nil {
					b.Error(err)
					return
				}
				defer response.Body.Close()
				if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode >= 300 {
					b.Errorf("%d %v", response.StatusCode, err)
				}
			}
			for range 4 {
				post() // all owners serve
			}
			b.SetParallelism(clients) // times the number of processors
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					post()
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commands/s")
		})
	}
}
