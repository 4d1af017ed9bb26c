// Package statetest is the conformance suite for state engines. It tests the contracts of [state.Engine] and
// [state.Partition], and the contracts of the typed stores on top of the engine.
//
//	func TestConformance(t *testing.T) {
//		statetest.Run(t, func(t *testing.T) state.Engine { return newEngine(t) })
//	}
//
// A part of the suite is random. It prints its seed, and runs again with the seed in STATETEST_SEED.
package statetest

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"reflect"
	"strconv"
	"testing"

	"github.com/seed84377926/millrace/state"
)

// Run runs the suite. open returns a new, empty engine; the suite closes it.
func Run(t *testing.T, open func(t *testing.T) state.Engine) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(t *testing.T, e state.Engine)
	}{
		{"rows", testRows},
		{"rows of any bytes", testAnyBytes},
		{"batches", testBatches},
		{"offsets", testOffsets},
		{"scans", testScans},
		{"scans are snapshots", testSnapshots},
		{"snapshots", testSnapshot},
		{"partitions", testPartitions},
		{"drop", testDrop},
		{"drop beside readers", testDropBesideReaders},
		{"release", testRelease},
		{"close", testClose},
		{"readers beside a writer", testConcurrency},
		{"random engine", testEngineModel},
		{"key-value store", testKeyValue},
		{"key-value store: commit and rollback", testKeyValueCommit},
		{"key-value store: range", testKeyValueRange},
		{"window store", testWindowed},
		{"window store: expire", testExpire},
		{"window store: restore", testRestore},
		{"windows and sessions by their end", testEnded},
		{"windows and sessions by encoded keys", testEncoded},
		{"random key-value store", testKeyValueModel},
		{"random window store", testWindowedModel},
		{"session store", testSessions},
		{"versioned store", testVersioned},
		{"expiring store", testExpiring},
		{"session, versioned and expiring stores: restore", testRestoreKinds},
		{"suppress buffer", testSuppress},
		{"suppress buffer: changes beside a commit", testSuppressPipelined},
		{"suppress buffer: many entries", testSuppressLarge},
		{"join buffer", testJoin},
		{"time queue", testQueue},
		{"time queue at places", testQueueAt},
		{"suppress, join and queue: restore", testRestoreBuffers},
		{"index", testIndex},
		{"index: building", testIndexBuilding},
		{"random session store", testSessionsModel},
		{"random versioned store", testVersionedModel},
		{"random expiring store", testExpiringModel},
		{"random suppress buffer", testSuppressModel},
		{"random join buffer", testJoinModel},
		{"random time queue", testQueueModel},
		{"random index", testIndexModel},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := open(t)
			t.Cleanup(func() { must(t, e.Close()) })
			test.run(t, e)
		})
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal(t testing.TB, got, want any, format string, args ...any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s:\n got %#v\nwant %#v", fmt.Sprintf(format, args...), got, want)
	}
}

func openPartition(t testing.TB, e state.Engine, p int32) state.Partition {
	t.Helper()
	part, err := e.Open(p)
	must(t, err)
	return part
}

// apply applies a batch that fill fills.
func apply(t testing.TB, part state.Partition, fill func(b *state.Batch)) {
	t.Helper()
	var b state.Batch
	fill(&b)
	must(t, part.Apply(&b))
}

// wantRow checks one row; a nil want means that there is none.
func wantRow(t testing.TB, part state.Partition, key string, want []byte) {
	t.Helper()
	got, ok, err := part.Get([]byte("dst:"), []byte(key))
	must(t, err)
	if ok != (want != nil) {
		t.Fatalf("row %q: exists is %v, want %v", key, ok, want != nil)
	}
	if !bytes.Equal(got, append([]byte("dst:"), want...)) {
		t.Fatalf("row %q: got %q after dst, want %q", key, got, want)
	}
}

type pair struct{ key, value string }

// rows collects a scan.
func rows(t testing.TB, scan iter.Seq2[state.Row, error]) []pair {
	t.Helper()
	var all []pair
	for row, err := range scan {
		must(t, err)
		if row.Key == nil || row.Value == nil {
			t.Fatalf("scan yields a nil key or value: %#v", row)
		}
		all = append(all, pair{string(row.Key), string(row.Value)})
	}
	return all
}

// collect returns what a sequence yields.
func collect[T any](t testing.TB, seq iter.Seq2[T, error]) []T {
	t.Helper()
	var all []T
	for v, err := range seq {
		must(t, err)
		all = append(all, v)
	}
	return all
}

// flush returns the batch of all dirty rows and checks its order.
func flush(t testing.TB, s state.Store) *state.Batch {
	t.Helper()
	b := new(state.Batch)
	must(t, s.Flush(b))
	var last []byte
	for op := range b.Ops() {
		if op.Local {
			continue
		}
		if last != nil && bytes.Compare(last, op.Key) >= 0 {
			t.Fatalf("flush: row %q after row %q: want each row once, in key order", op.Key, last)
		}
		last = bytes.Clone(op.Key)
	}
	return b
}

// commit commits the stores as a task does.
func commit(t testing.TB, part state.Partition, stores ...state.Store) *state.Batch {
	t.Helper()
	all := new(state.Batch)
	for _, s := range stores {
		must(t, s.Flush(all))
	}
	must(t, part.Apply(all))
	for _, s := range stores {
		s.Committed()
	}
	return all
}

func wantClosed(t testing.TB, what string, err error) {
	t.Helper()
	if !errors.Is(err, state.ErrClosed) {
		t.Fatalf("%s after Close: %v, want ErrClosed", what, err)
	}
}

// random returns a source of random numbers and logs its seed.
func random(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if s := os.Getenv("STATETEST_SEED"); s != "" {
		parsed, err := strconv.ParseUint(s, 10, 64)
		must(t, err)
		seed = parsed
	}
	t.Logf("STATETEST_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}
