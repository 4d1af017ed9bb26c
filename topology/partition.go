package topology

import "github.com/seed84377926/millrace/internal/murmur2"

// Partition returns the partition of key among n, the same as Kafka's Java client and Kafka Streams choose: murmur2 of the
// bytes without the sign bit, modulo n, which must be positive.
func Partition(key []byte, n int32) int32 { return murmur2.Partition(key, n) }
