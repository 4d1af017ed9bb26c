package state_test

import (
	"fmt"
	"log"
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

// A task changes its store as often as it likes and writes each changed row once, at its commit.
func ExampleKeyValue() {
	engine := state.NewMemory()
	defer engine.Close()
	part, err := engine.Open(0)
	if err != nil {
		log.Fatal(err)
	}
	passengers, err := state.NewKeyValue("passengers", part, nil, codecs.String, codecs.Int64)
	if err != nil {
		log.Fatal(err)
	}
	for i, flight := range []string{"LH400", "BA7", "LH400", "LH400"} {
		n, _, _, err := passengers.Get(flight)
		if err != nil {
			log.Fatal(err)
		}
		if err := passengers.Put(flight, n+1, int64(i)); err != nil {
			log.Fatal(err)
		}
	}
	var batch state.Batch
	if err := passengers.Flush(&batch); err != nil {
		log.Fatal(err)
	}
	for op := range batch.Ops() {
		fmt.Printf("to the changelog: %q\n", op.Key)
	}
	batch.SetOffset(2) // once the transaction is committed
	if err := part.Apply(&batch); err != nil {
		log.Fatal(err)
	}
	passengers.Committed()

	for entry, err := range passengers.Range(nil, nil) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(entry.Key, entry.Value)
	}
	// Output:
	// to the changelog: "passengers\x00BA7"
	// to the changelog: "passengers\x00LH400"
	// BA7 1
	// LH400 3
}

func ExampleKeyValue_Rollback() {
	part, err := state.NewMemory().Open(0)
	if err != nil {
		log.Fatal(err)
	}
	gates, err := state.NewKeyValue("gates", part, nil, codecs.String, codecs.String)
	if err != nil {
		log.Fatal(err)
	}
	if err := gates.Put("LH400", "A12", 0); err != nil {
		log.Fatal(err)
	}
	gates.Rollback() // the transaction was aborted
	_, _, ok, err := gates.Get("LH400")
	fmt.Println(ok, err)
	// Output: false <nil>
}

func ExampleWindowed() {
	part, err := state.NewMemory().Open(0)
	if err != nil {
		log.Fatal(err)
	}
	spec := state.Spec{Name: "hourly", Kind: state.WindowKind, WindowSize: time.Hour, Retention: 3 * time.Hour}
	departures, err := state.NewWindowed(spec, part, nil, codecs.String, codecs.Int64)
	if err != nil {
		log.Fatal(err)
	}
	day := time.Date(2024, 6, 1, 0, 0, 0, 0, time.UTC)
	hour := func(h int) int64 { return day.Add(time.Duration(h) * time.Hour).UnixMilli() }
	for h := 9; h < 12; h++ {
		if err := departures.Put("LH", hour(h), int64(h), hour(h)); err != nil {
			log.Fatal(err)
		}
	}
	expired, err := departures.Expire(hour(10)) // windows that end at ten or before
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("expired:", expired)
	for entry, err := range departures.Fetch("LH", hour(0), hour(24)) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(entry.Key, entry.Window, entry.Value)
	}
	// Output:
	// expired: 1
	// LH 2024-06-01T10:00:00Z/2024-06-01T11:00:00Z 10
	// LH 2024-06-01T11:00:00Z/2024-06-01T12:00:00Z 11
}

// A reader sees what is committed, in any partition, from any goroutine.
func ExampleKeyValueReader() {
	part, err := state.NewMemory().Open(0)
	if err != nil {
		log.Fatal(err)
	}
	var batch state.Batch
	for _, flight := range []string{"BA7", "LH400", "LH401"} {
		batch.Set(state.AppendRowKey(nil, "gates", []byte(flight)), state.AppendRowValue(nil, 0, []byte("A12")))
	}
	if err := part.Apply(&batch); err != nil {
		log.Fatal(err)
	}
	gates := state.NewKeyValueReader("gates", codecs.String, codecs.String)
	for entry, err := range gates.Prefix(part, []byte("LH")) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(entry.Key, entry.Value)
	}
	// Output:
	// LH400 A12
	// LH401 A12
}

func ExampleWindowReader() {
	part, err := state.NewMemory().Open(0)
	if err != nil {
		log.Fatal(err)
	}
	var batch state.Batch
	for _, start := range []int64{0, 1000, 2000} {
		key := state.AppendRowKey(nil, "counts", state.AppendWindowKey(nil, []byte("LH"), start))
		batch.Set(key, state.AppendRowValue(nil, start, []byte("n")))
	}
	if err := part.Apply(&batch); err != nil {
		log.Fatal(err)
	}
	spec := state.Spec{Name: "counts", Kind: state.WindowKind, WindowSize: time.Second}
	counts := state.NewWindowReader(spec, codecs.String, codecs.String)
	for entry, err := range counts.Fetch(part, "LH", 1000, 3000) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(entry.Window)
	}
	// Output:
	// 1970-01-01T00:00:01Z/1970-01-01T00:00:02Z
	// 1970-01-01T00:00:02Z/1970-01-01T00:00:03Z
}

func ExampleLayout() {
	layout, err := state.NewLayout(state.Spec{Name: "gates", Kind: state.KeyValueKind})
	if err != nil {
		log.Fatal(err)
	}
	var batch state.Batch
	for _, key := range []string{"gates\x00LH400", "another-store\x00LH400"} {
		known, err := layout.RestoreRow(&batch, []byte(key), []byte("a row value"))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(known)
	}
	fmt.Println(batch.Len())
	// Output:
	// true
	// false
	// 1
}

// A client that wrote to two topics wants to read what became of it.
func ExampleOffsets() {
	flights := state.Offsets{{Topic: "flights", Partition: 3}: 17}
	bookings := state.Offsets{{Topic: "bookings", Partition: 0}: 5}
	token := flights.Merge(bookings).Token()

	required, err := state.ParseToken(token)
	if err != nil {
		log.Fatal(err)
	}
	view := state.Offsets{{Topic: "flights", Partition: 3}: 20}
	fmt.Println(view.Covers(flights), view.Covers(required))
	// Output: true false
}

func ExamplePosition() {
	position := state.NewPosition()
	position.Direct[state.TopicPartition{Topic: "flights", Partition: 3}] = 17
	var batch state.Batch
	batch.Set([]byte(state.PositionKey), position.Append(nil))

	for op := range batch.Ops() {
		stored, err := state.DecodePosition(op.Value)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(stored.Direct)
	}
	// Output: map[flights/3:17]
}

func ExampleBudget() {
	part, err := state.NewMemory().Open(0)
	if err != nil {
		log.Fatal(err)
	}
	budget := state.NewBudget(10_000)
	gates, err := state.NewKeyValue("gates", part, budget, codecs.Int64, codecs.String)
	if err != nil {
		log.Fatal(err)
	}
	for i := range int64(100) {
		if err := gates.Put(i, "A12", 0); err != nil {
			log.Fatal(err)
		}
		if budget.CommitDue() {
			fmt.Println("time to commit")
			break
		}
	}
	// Output: time to commit
}
