// Package murmur2 is the hash of Kafka's default partitioner, as in the Java client. The writer of a key and its
// readers must agree on the partition.
//
// It is pure, and only New allocates.
package murmur2

import "hash"

const (
	multiplier = 0x5bd1e995
	shift      = 24
	seed       = 0x9747b28c
)

// Sum returns the murmur2 hash of data with Kafka's seed (org.apache.kafka.common.utils.Utils.murmur2).
func Sum(data []byte) uint32 {
	h := seed ^ uint32(len(data))
	for len(data) >= 4 {
		k := uint32(data[0]) | uint32(data[1])<<8 | uint32(data[2])<<16 | uint32(data[3])<<24
		k *= multiplier
		k ^= k >> shift
		k *= multiplier
		h = h*multiplier ^ k
		data = data[4:]
	}
	switch len(data) {
	case 3:
		h ^= uint32(data[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(data[1]) << 8
		fallthrough
	case 1:
		h ^= uint32(data[0])
		h *= multiplier
	}
	h ^= h >> 13
	h *= multiplier
	return h ^ h>>15
}

// Partition returns the partition of key among n, as Kafka's default partitioner does: the hash without its sign bit,
// modulo n. n must be positive.
func Partition(key []byte, n int32) int32 { return int32(Sum(key)&0x7fffffff) % n }

// New returns the hash, without its sign bit, as a hash.Hash32.
func New() hash.Hash32 { return &digest{} }

// digest collects its input: murmur2 starts with the total length, so hashing cannot begin before the end.
type digest struct{ data []byte }

func (d *digest) Write(p []byte) (int, error) { d.data = append(d.data, p...); return len(p), nil }
func (d *digest) Sum32() uint32               { return Sum(d.data) & 0x7fffffff }
func (d *digest) Reset()                      { d.data = d.data[:0] }
func (d *digest) Size() int                   { return 4 }
func (d *digest) BlockSize() int              { return 4 }

func (d *digest) Sum(b []byte) []byte {
	h := d.Sum32()
	return append(b, byte(h>>24), byte(h>>16), byte(h>>8), byte(h))
}
