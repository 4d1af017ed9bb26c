package state_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

// picky refuses one value, or panics with what it is told to.
type picky struct {
	codecs.Codec[string]
	panics any
}

var errPicky = errors.New("not that one")

func (p picky) Append(dst []byte, v string) ([]byte, error) {
	switch {
	case v != "bad":
		return p.Codec.Append(dst, v)
	case p.panics != nil:
		panic(p.panics)
	default:
		return nil, errPicky
	}
}

// A value that cannot be written is an error that names its key, also if the codec panics; after a rollback the store
// goes on without it.
func TestFlush_aValueThatCannotBeEncodedIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		panics any
		is     error
		text   string
	}{
		"error":             {nil, errPicky, "not that one"},
		"panic":             {"oh no", nil, "panic: oh no"},
		"panic of an error": {errPicky, errPicky, "panic: not that one"},
	} {
		t.Run(name, func(t *testing.T) {
			part, err := state.NewMemory().Open(0)
			require.NoError(t, err)
			store, err := state.NewKeyValue("names", part, nil, codecs.String, codecs.Codec[string](picky{codecs.String, c.panics}))
			require.NoError(t, err)
			require.NoError(t, store.Put("a", "good", 1))
			require.NoError(t, store.Put("b", "bad", 2))
			var batch state.Batch
			err = store.Flush(&batch)
			var encode *state.EncodeError
			require.ErrorAs(t, err, &encode)
			require.Equal(t, "names", encode.Store)
			require.Equal(t, "b", string(encode.Key))
			require.ErrorContains(t, err, `flush store "names": key "b": the value cannot be encoded: `+c.text)
			if c.is != nil {
				require.ErrorIs(t, err, c.is)
			}

			store.Rollback()
			require.NoError(t, store.Put("a", "good", 1))
			batch.Reset()
			require.NoError(t, store.Flush(&batch))
			require.NoError(t, part.Apply(&batch))
			store.Committed()
			_, _, ok, err := store.Get("b")
			require.NoError(t, err)
			require.False(t, ok)
		})
	}
}
