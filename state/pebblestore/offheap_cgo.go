//go:build cgo

package pebblestore

// OffHeap says whether blocks and memtables are outside Go's heap. Pebble allocates them with malloc in a program that
// is built with cgo, and in Go's heap otherwise. The garbage collector's reserve does not apply to memory outside the
// heap.
const OffHeap = true
