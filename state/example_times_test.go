package state_test

import (
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

// A record continues the sessions that are not further away than the gap, and makes one of them.
func ExampleSessions() {
	part, err := state.NewMemory().Open(0)
	if err != nil {
		log.Fatal(err)
	}
	spec := state.Spec{Name: "visits", Kind: state.SessionKind, Retention: time.Hour}
	visits, err := state.NewSessions(spec, part, nil, codecs.String, codecs.Int64)
	if err != nil {
		log.Fatal(err)
	}
	const gap = 10
	for _, at := range []int64{0, 100, 18, 9} { // 9 joins the sessions of 0 and 18
		merged, pages := state.Session{Start: at, End: at}, int64(1)
		var old []state.Session
		for entry, err := range visits.FindSessions("LH400", at-gap, at+gap) {
			if err != nil {
				log.Fatal(err)
			}
			old = append(old, entry.Session)
			merged = state.Session{Start: min(merged.Start, entry.Session.Start), End: max(merged.End, entry.Session.End)}
			pages += entry.Value
		}
		for _, session := range old {
			if err := visits.Remove("LH400", session); err != nil {
				log.Fatal(err)
			}
		}
		if err := visits.Put("LH400", merged, pages, merged.End); err != nil {
			log.Fatal(err)
		}
	}
	for entry, err := range visits.FindSessions("LH400", 0, 1000) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(entry.Session.Start, entry.Session.End, entry.Value)
	}
	expired, err := visits.Expire(19) // sessions with an end before
	fmt.Println("expired:", expired, err)
	// Output:
	// 0 18 3
	// 100 100 1
	// expired: 1 <nil>
}

func ExampleSessionReader() {
	part, err := state.NewMemory().Open(0)
	if err != nil {
		log.Fatal(err)
	}
	var batch state.Batch
	for _, session := range []state.Session{{Start: 0, End: 18}, {Start: 100, End: 100}} {
		key := state.AppendRowKey(nil, "visits", state.AppendSessionKey(nil, []byte("LH400"), session))
		batch.Set(key, state.AppendRowValue(nil, session.End, []byte("v")))
	}
	if err := part.Apply(&batch); err != nil {
		log.Fatal(err)
	}
	visits := state.NewSessionReader("visits", codecs.String, codecs.String)
	for entry, err := range visits.FindSessions(part, "LH400", 50, 200) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(entry.Session.Start, entry.Session.End)
	}
	// Output: 100 100
}

func ExampleVersioned() {
	part, err := state.NewMemory().Open(0)
	if err != nil {
		log.Fatal(err)
	}
	spec := state.Spec{Name: "fares", Kind: state.VersionedKind, Retention: 100 * time.Millisecond}
	fares, err := state.NewVersioned(spec, part, nil, codecs.String, codecs.Int64)
	if err != nil {
		log.Fatal(err)
	}
	for _, change := range []struct{ fare, from int64 }{{120, 10}, {180, 100}, {150, 50}} { // the last one comes late
		if err := fares.Put("LH400", change.fare, change.from); err != nil {
			log.Fatal(err)
		}
	}
	for _, at := range []int64{5, 10, 60, 100} {
		fare, from, ok, err := fares.GetAsOf("LH400", at)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("at", at, "costs", fare, "since", from, ok)
	}
	err = fares.Put("LH400", 90, -1) // history reaches from 100 back to 0
	fmt.Println(errors.Is(err, state.ErrTooOld), err)
	// Output:
	// at 5 costs 0 since 0 false
	// at 10 costs 120 since 10 true
	// at 60 costs 150 since 50 true
	// at 100 costs 180 since 100 true
	// true store "fares": change at -1: older than the history of the store, which begins at 0
}

// What a task commits, readers see as of any time.
func ExampleVersionReader() {
	part, err := state.NewMemory().Open(0)
	if err != nil {
		log.Fatal(err)
	}
	spec := state.Spec{Name: "gates", Kind: state.VersionedKind}
	gates, err := state.NewVersioned(spec, part, nil, codecs.String, codecs.String)
	if err != nil {
		log.Fatal(err)
	}
	if err := errors.Join(gates.Put("LH400", "A12", 10), gates.Delete("LH400", 20), gates.Put("LH400", "B7", 30)); err != nil {
		log.Fatal(err)
	}
	var batch state.Batch
	if err := gates.Flush(&batch); err != nil {
		log.Fatal(err)
	}
	if err := part.Apply(&batch); err != nil {
		log.Fatal(err)
	}
	gates.Committed()

	reader := state.NewVersionReader("gates", codecs.String, codecs.String)
	gate, _, ok, err := reader.GetAsOf(part, "LH400", 19)
	fmt.Println(gate, ok, err)
	for entry, err := range reader.Versions(part, "LH400", 0, 20) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(entry.Value, entry.ValidFrom, entry.ValidTo)
	}
	// Output:
	// A12 true <nil>
	// A12 10 20
}

func ExampleExpiring() {
	part, err := state.NewMemory().Open(0)
	if err != nil {
		log.Fatal(err)
	}
	spec := state.Spec{Name: "holds", Kind: state.KeyValueKind, TTL: 10 * time.Millisecond}
	holds, err := state.NewExpiring(spec, part, nil, codecs.String, codecs.String)
	if err != nil {
		log.Fatal(err)
	}
	for i, seat := range []string{"1A", "1B", "2A"} {
		if err := holds.Put(seat, "held", int64(i)); err != nil {
			log.Fatal(err)
		}
	}
	holds.Advance(12) // stream time: what is older than 2 is not seen any more
	for entry, err := range holds.Range(nil, nil) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(entry.Key)
	}
	expired, err := holds.Expire(2)
	fmt.Println("expired:", expired, err)
	// Output:
	// 2A
	// expired: 2 <nil>
}
