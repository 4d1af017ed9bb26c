package comments

import (
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
)

// TestFormat runs the scripts of testdata. The command fill takes a Go file and prints it with its comments filled;
// what is printed must not change again.
func TestFormat(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			filled, err := Format([]byte(d.Input + "\n"))
			if err != nil {
				return "error: " + err.Error()
			}
			again, err := Format(filled)
			require.NoError(t, err)
			require.Equal(t, string(filled), string(again), "filled twice")
			return string(filled)
		})
	})
}

// FuzzFormat fills what the fuzzer makes of Go files: the code stays, and a filled file stays.
func FuzzFormat(f *testing.F) {
	f.Add("package a\n\n// One\n// two.\nvar A int // after\n")
	f.Add("package a\n\n//\tcode\n// text - text\n//go:noinline\nfunc a() {}\n")
	f.Fuzz(func(t *testing.T, src string) {
		filled, err := Format([]byte(src))
		if err != nil {
			return
		}
		again, err := Format(filled)
		require.NoError(t, err, "%q became %q, which is not Go", src, filled)
		require.Equal(t, string(filled), string(again))
	})
}
