package state_test

import (
	"fmt"
	"log"
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

// What suppress does for each record: hold it back, give out what its time has come for, and give out the oldest if
// there are too many.
func ExampleSuppressBuffer() {
	part, err := state.NewMemory().Open(0)
	if err != nil {
		log.Fatal(err)
	}
	spec := state.Spec{Name: "hourly-final", Kind: state.SuppressKind}
	buffer, err := state.NewSuppressBuffer(spec, part, nil, codecs.String, codecs.Int64)
	if err != nil {
		log.Fatal(err)
	}
	const limit, maxEntries = 10, 2
	streamTime := int64(0)
	process := func(key string, old, value, timestamp int64) {
		streamTime = max(streamTime, timestamp)
		update := state.TableUpdate[int64]{Value: value, HasValue: true, Old: old, HasOld: old > 0, Timestamp: timestamp}
		if err := buffer.Put(key, timestamp, update); err != nil {
			log.Fatal(err)
		}
		due := func(time int64) bool { return time <= streamTime-limit || buffer.Len() > maxEntries }
		for entry, err := range buffer.EvictWhile(due) {
			if err != nil {
				log.Fatal(err)
			}
			fmt.Println("at", streamTime, entry.Key, entry.Old, "->", entry.Value)
		}
	}
	process("LH", 0, 1, 0)
	process("LH", 1, 2, 5) // keeps the place at 0
	process("BA", 7, 8, 8)
	process("AF", 0, 1, 9) // one too many
	process("AF", 1, 2, 18)
	fmt.Println(buffer.Len(), "left")
	// Output:
	// at 9 LH 0 -> 2
	// at 18 BA 7 -> 8
	// 1 left
}

// A record of one side of a join looks for those of the other side that are not further away than the window.
func ExampleJoinBuffer() {
	part, err := state.NewMemory().Open(0)
	if err != nil {
		log.Fatal(err)
	}
	spec := state.Spec{Name: "payments", Kind: state.JoinKind, Retention: 20 * time.Millisecond} // window and grace
	payments, err := state.NewJoinBuffer(spec, part, nil, codecs.String, codecs.Int64)
	if err != nil {
		log.Fatal(err)
	}
	for i, at := range []int64{20, 10, 10, 35} {
		if _, err := payments.Put("booking-7", at, int64(i)); err != nil {
			log.Fatal(err)
		}
	}
	const before, after = 10, 5
	for entry, err := range payments.Fetch("booking-7", 20-before, 20+after) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("at", entry.Timestamp, "value", entry.Value)
	}
	payments.Advance(35)
	expired, err := payments.Expire(35-20, 1) // one at a time
	fmt.Println("expired:", expired, err)
	// Output:
	// at 10 value 1
	// at 10 value 2
	// at 20 value 0
	// expired: 1 <nil>
}

// An outer join keeps what has not matched yet, and gives it out unmatched when its window has closed.
func ExampleTimeQueue() {
	part, err := state.NewMemory().Open(0)
	if err != nil {
		log.Fatal(err)
	}
	spec := state.Spec{Name: "unmatched", Kind: state.QueueKind}
	unmatched, err := state.NewTimeQueue(spec, part, nil, codecs.String, codecs.String)
	if err != nil {
		log.Fatal(err)
	}
	places := map[string]state.QueuePlace{} // an operator keeps them with the records of its join buffers
	for i, booking := range []string{"booking-7", "booking-8", "booking-9"} {
		place, err := unmatched.Put(booking, int64(10+5*i), state.LeftSide, "booked")
		if err != nil {
			log.Fatal(err)
		}
		places[booking] = place
	}
	if _, err := unmatched.Remove("booking-7", places["booking-7"]); err != nil { // a match
		log.Fatal(err)
	}
	const window, streamTime = 10, 27
	for entry, err := range unmatched.Scan(streamTime - window) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(entry.Time, entry.Key, entry.Value)
		if _, err := unmatched.Remove(entry.Key, entry.QueuePlace); err != nil {
			log.Fatal(err)
		}
	}
	head, ok, err := unmatched.Head()
	fmt.Println("next:", head.Time, head.Key, ok, err)
	// Output:
	// 15 booking-8 booked
	// next: 20 booking-9 true <nil>
}
