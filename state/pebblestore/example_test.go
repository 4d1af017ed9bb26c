package pebblestore_test

import (
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/state/pebblestore"
)

func ExampleOpen() {
	dir, err := os.MkdirTemp("", "millrace")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	engine, err := pebblestore.Open(dir, pebblestore.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()

	part, err := engine.Open(0)
	if errors.Is(err, pebblestore.ErrCorrupt) {
		// What was damaged is dropped and restored from the changelog. Other partitions keep what they have.
		if err := engine.Drop(0); err != nil {
			log.Fatal(err)
		}
		part, err = engine.Open(0)
	}
	if err != nil {
		log.Fatal(err)
	}
	var batch state.Batch
	batch.Set([]byte("gates\x00LH400"), []byte("A12"))
	batch.SetOffset(7)
	if err := part.Apply(&batch); err != nil {
		log.Fatal(err)
	}
	offset, ok := part.Offset()
	fmt.Println("restore from offset", offset+1, ok)
	// Output: restore from offset 8 true
}
