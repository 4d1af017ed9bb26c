package topology_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/topology"
)

// The hashes are those of the tests of Kafka's Java client (murmur2).
func TestPartition(t *testing.T) {
	for key, hash := range map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		for _, n := range []int32{1, 2, 3, 12, 1<<31 - 1} {
			require.Equal(t, hash&0x7fffffff%n, topology.Partition([]byte(key), n), "%s of %d", key, n)
		}
	}
}

func ExamplePartition() {
	for _, carrier := range []string{"KL", "BA", "LH"} {
		fmt.Println(carrier, topology.Partition([]byte(carrier), 4))
	}
	// Output:
	// KL 2
	// BA 1
	// LH 0
}
