//go:build !cgo

package pebblestore

// OffHeap says whether blocks and memtables lie outside of Go's heap: pebble allocates them with malloc in a program that
// is built with cgo, and as Go's own memory otherwise. The garbage collector's reserve does not concern what lies outside.
const OffHeap = false
