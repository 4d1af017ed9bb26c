package codecs_test

import (
	"bytes"
	"cmp"
	"fmt"
	"log"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
)

type flight struct {
	Number string            `json:"number"`
	Gate   *string           `json:"gate,omitempty"`
	Seats  map[string]string `json:"seats,omitempty"`
}

// requireRules checks the rules of the package comment: C1, and the parts of C2 and C3 that can be seen from outside.
func requireRules[T any](t *testing.T, codec codecs.Codec[T], values ...T) {
	t.Helper()
	for _, v := range values {
		data, err := codec.Append([]byte("dst:"), v)
		require.NoError(t, err)
		require.Equal(t, "dst:", string(data[:4]), "Append keeps what is there")
		encoded := data[4:]
		again, err := codec.Append(nil, v)
		require.NoError(t, err)
		require.True(t, bytes.Equal(encoded, again), "C2: one value has one encoding")

		before := bytes.Clone(encoded)
		back, err := codec.Decode(encoded)
		require.NoError(t, err)
		require.Equal(t, v, back, "C1")
		require.True(t, bytes.Equal(before, encoded), "Decode does not modify the data")
		for i := range encoded {
			encoded[i] = 'X'
		}
		require.Equal(t, v, back, "C3: Decode copies")
	}
}

func TestString(t *testing.T) {
	requireRules(t, codecs.String, "", "a", "a\x00b", "Verspätung", "\xff\xfe not UTF-8")
}

func TestBytes(t *testing.T) {
	requireRules(t, codecs.Bytes, []byte{}, []byte("a"), []byte{0, 255})
	back, err := codecs.Bytes.Decode([]byte{})
	require.NoError(t, err)
	require.NotNil(t, back, "empty is not null")
}

func TestInt64(t *testing.T) {
	requireRules(t, codecs.Int64, 0, 1, -1, math.MaxInt64, math.MinInt64)
	for _, bad := range [][]byte{{}, make([]byte, 7), make([]byte, 9)} {
		_, err := codecs.Int64.Decode(bad)
		require.ErrorContains(t, err, "want 8")
	}
}

func TestFloat64(t *testing.T) {
	requireRules(t, codecs.Float64, 0, 1, -1, math.Pi, math.MaxFloat64, -math.SmallestNonzeroFloat64, math.Inf(1), math.Inf(-1))
	for _, bits := range []uint64{math.Float64bits(math.Copysign(0, -1)), math.Float64bits(math.NaN()), 0xfff8_0000_0000_0001} {
		data, err := codecs.Float64.Append(nil, math.Float64frombits(bits))
		require.NoError(t, err)
		back, err := codecs.Float64.Decode(data)
		require.NoError(t, err)
		require.Equal(t, bits, math.Float64bits(back), "negative zero and NaNs keep their bits")
	}
	_, err := codecs.Float64.Decode(nil)
	require.ErrorContains(t, err, "want 8")
}

func TestJSON(t *testing.T) {
	gate := "A12"
	requireRules(t, codecs.JSON[flight](),
		flight{}, flight{Number: "LH400", Gate: &gate, Seats: map[string]string{"1A": "x", "2B": "y", "3C": "z"}})
	requireRules(t, codecs.JSON[[]int](), nil, []int{}, []int{1, 2})
	requireRules[any](t, codecs.JSON[any](), nil, "text", 1.5, map[string]any{"b": true, "a": nil})

	newer, err := codecs.JSON[flight]().Decode([]byte(`{"number":"LH400","terminal":1}`))
	require.NoError(t, err)
	require.Equal(t, flight{Number: "LH400"}, newer, "fields that are not known are ignored")
	_, err = codecs.JSON[flight]().Decode([]byte(`{`))
	require.ErrorContains(t, err, "decode JSON as codecs_test.flight")
	_, err = codecs.JSON[flight]().Decode(nil)
	require.Error(t, err)
	dst, err := codecs.JSON[func()]().Append([]byte("dst:"), nil)
	require.ErrorContains(t, err, "as JSON")
	require.Equal(t, "dst:", string(dst), "on error the slice is as it was")
}

// encode must not fail.
func encode[T any](t *testing.T, codec codecs.Codec[T], v T) []byte {
	t.Helper()
	data, err := codec.Append(nil, v)
	require.NoError(t, err)
	return data
}

func FuzzInt64_order(f *testing.F) {
	for _, a := range []int64{math.MinInt64, -1, 0, 1, 255, 256, math.MaxInt64} {
		f.Add(a, int64(0))
	}
	f.Fuzz(func(t *testing.T, a, b int64) {
		x, y := encode(t, codecs.Int64, a), encode(t, codecs.Int64, b)
		require.Equal(t, cmp.Compare(a, b), bytes.Compare(x, y), "%d and %d", a, b)
		back, err := codecs.Int64.Decode(x)
		require.NoError(t, err)
		require.Equal(t, a, back)
	})
}

func FuzzFloat64_order(f *testing.F) {
	for _, a := range []float64{math.Inf(-1), -math.MaxFloat64, -1, -math.SmallestNonzeroFloat64, 0, 1, math.Inf(1), math.NaN()} {
		f.Add(a, 0.0)
	}
	f.Fuzz(func(t *testing.T, a, b float64) {
		x, y := encode(t, codecs.Float64, a), encode(t, codecs.Float64, b)
		back, err := codecs.Float64.Decode(x)
		require.NoError(t, err)
		require.Equal(t, math.Float64bits(a), math.Float64bits(back))
		if math.IsNaN(a) || math.IsNaN(b) {
			return
		}
		want := cmp.Compare(a, b)
		if a == 0 && b == 0 {
			// The zeros are equal numbers and different keys: the negative one sorts first.
			want = cmp.Compare(sign(a), sign(b))
		}
		require.Equal(t, want, bytes.Compare(x, y), "%v and %v", a, b)
	})
}

func sign(v float64) int {
	if math.Signbit(v) {
		return -1
	}
	return 1
}

func FuzzString_order(f *testing.F) {
	f.Add("", "\x00")
	f.Add("a", "a\x00")
	f.Add("a\xff", "b")
	f.Fuzz(func(t *testing.T, a, b string) {
		require.Equal(t, cmp.Compare(a, b), bytes.Compare(encode(t, codecs.String, a), encode(t, codecs.String, b)))
		require.Equal(t, cmp.Compare(a, b), bytes.Compare(encode(t, codecs.Bytes, []byte(a)), encode(t, codecs.Bytes, []byte(b))))
	})
}

// FuzzDecode feeds arbitrary data to the codecs that can tell whether it is an encoding.
func FuzzDecode(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte(`{"number":"LH400","seats":{"1A":""}}`))
	f.Add([]byte("12345678"))
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		if v, err := codecs.JSON[flight]().Decode(data); err == nil {
			back, err := codecs.JSON[flight]().Decode(encode(t, codecs.JSON[flight](), v))
			require.NoError(t, err)
			require.Equal(t, v.Number, back.Number)
		}
		if v, err := codecs.Int64.Decode(data); err == nil {
			require.Equal(t, data, encode(t, codecs.Int64, v))
		}
		if v, err := codecs.Float64.Decode(data); err == nil {
			require.Equal(t, data, encode(t, codecs.Float64, v))
		}
		require.True(t, bytes.Equal(before, data))
	})
}

func show[T any](codec codecs.Codec[T], v T) {
	data, err := codec.Append(nil, v)
	if err != nil {
		log.Fatal(err)
	}
	back, err := codec.Decode(data)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%x %v\n", data, back)
}

func Example_string() {
	show(codecs.String, "LH400")
	// Output: 4c48343030 LH400
}

func Example_bytes() {
	show(codecs.Bytes, []byte{1, 2})
	// Output: 0102 [1 2]
}

// Encodings of numbers sort like the numbers.
func Example_int64() {
	show(codecs.Int64, -1)
	show(codecs.Int64, 0)
	show(codecs.Int64, 1)
	// Output:
	// 7fffffffffffffff -1
	// 8000000000000000 0
	// 8000000000000001 1
}

func Example_float64() {
	show(codecs.Float64, -1.5)
	show(codecs.Float64, 0)
	show(codecs.Float64, 1.5)
	// Output:
	// 4007ffffffffffff -1.5
	// 8000000000000000 0
	// bff8000000000000 1.5
}

func ExampleJSON() {
	type Flight struct {
		Number string `json:"number"`
		Delay  int    `json:"delay"`
	}
	codec := codecs.JSON[Flight]()
	data, err := codec.Append(nil, Flight{Number: "LH400", Delay: 5})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(data))
	// Output: {"number":"LH400","delay":5}
}
