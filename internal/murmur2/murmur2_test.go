package murmur2_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/internal/murmur2"
)

// The vectors are those of Kafka's own UtilsTest.testMurmur2.
func TestSum(t *testing.T) {
	for key, want := range map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		require.Equal(t, want, int32(murmur2.Sum([]byte(key))), key)
	}
}

func TestPartition_neverNegative(t *testing.T) {
	require.Equal(t, (int32(-790332482)&0x7fffffff)%6, murmur2.Partition([]byte("foobar"), 6))
	h := murmur2.New()
	_, err := h.Write([]byte("foo"))
	require.NoError(t, err)
	_, err = h.Write([]byte("bar"))
	require.NoError(t, err)
	require.Equal(t, uint32(murmur2.Partition([]byte("foobar"), 1<<30)), h.Sum32()%(1<<30))
}
