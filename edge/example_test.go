package edge_test

import (
	"context"
	"encoding/json/v2"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/seed84377926/millrace/aggregates"
	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/edge"
	"github.com/seed84377926/millrace/embedded"
)

// Flight is the aggregate of the example.
type Flight struct {
	Departed bool `json:"departed"`
}

type (
	DepartFlight   struct{ Gate string }
	FlightDeparted struct{ Gate string }
)

func newFlight() *aggregates.Aggregate[Flight] {
	return aggregates.New("flight", Flight{}, codecs.JSON[Flight]()).
		Command("depart", func(f Flight, c DepartFlight) ([]aggregates.Event, error) {
			if f.Departed {
				return nil, aggregates.Conflict("already-departed", "the flight has left")
			}
			return []aggregates.Event{FlightDeparted(c)}, nil
		}).
		On("FlightDeparted", func(f Flight, _ FlightDeparted) Flight { f.Departed = true; return f })
}

// A server with an aggregate type and a query, from start to end.
func Example() {
	dir, err := os.MkdirTemp("", "edge")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	kafka, err := embedded.Start(ctx, embedded.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer kafka.Close()

	srv, err := edge.New(ctx, edge.Config{Name: "airport", Listen: "127.0.0.1:0", Brokers: kafka.Addrs(), Dir: dir})
	if err != nil {
		fmt.Println(err)
		return
	}
	srv.Aggregate(newFlight(), edge.AggregateOptions{Path: "/v1/flights/{id}", Topic: "airport.flight.events", Partitions: 2})
	srv.Query("GET", "/v1/carriers/{code}", func(_ context.Context, r *edge.Request) (any, error) {
		limit := r.Int("limit", 1, 100, 10)
		if err := r.Err(); err != nil {
			return nil, err
		}
		if r.Path("code") != "UA" {
			return nil, edge.NotFound("no carrier %q", r.Path("code"))
		}
		return map[string]any{"name": "United", "limit": limit}, nil
	}, edge.QueryOptions{Params: []string{"limit"}})

	done := make(chan error)
	go func() { done <- srv.Run(ctx) }()
	base := "http://" + srv.Addr().String()

	// The first command waits until the owner of its partition is ready.
	post := func() {
		show(http.Post(base+"/v1/flights/UA1/commands/depart", "application/json", strings.NewReader(`{"Gate":"B7"}`)))
	}
	post()
	post()
	show(http.Get(base + "/v1/carriers/UA?limit=7"))
	show(http.Get(base + "/v1/carriers/UA?limit=700"))
	show(http.Get(base + "/v1/carriers/XX"))

	http.DefaultClient.CloseIdleConnections()
	stop()
	fmt.Println(<-done)
	// Output:
	// 201 version "1" at /v1/flights/UA1
	// 409 already-departed: the flight has left
	// 200 United 7
	// 400 limit: "700" is not a whole number from 1 to 100
	// 404 no carrier "XX"
	// <nil>
}

// show prints what matters of an answer.
func show(response *http.Response, err error) {
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	var body struct {
		Name   string `json:"name"`
		Limit  int    `json:"limit"`
		Code   string `json:"code"`
		Detail string `json:"detail"`
	}
	if err := json.UnmarshalRead(response.Body, &body); err != nil {
		fmt.Println(err)
	}
	switch {
	case response.StatusCode == http.StatusCreated:
		fmt.Println(response.StatusCode, "version", response.Header.Get("ETag"), "at", response.Header.Get("Location"))
	case body.Name != "":
		fmt.Println(response.StatusCode, body.Name, body.Limit)
	case body.Code != "":
		fmt.Printf("%d %s: %s\n", response.StatusCode, body.Code, body.Detail)
	default:
		fmt.Println(response.StatusCode, body.Detail)
	}
}
