package edge

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/seed84377926/millrace/state"
)

// idempotencyKey is the scope of an Idempotency-Key.
type idempotencyKey struct{ id, key string }

const maxKeyBytes = 255

// parseIdempotencyKey reads the key, with or without quotes: the draft standard asks for a quoted string, and most
// clients send it without quotes.
func parseIdempotencyKey(h http.Header) (string, *Problem) {
	const name = "Idempotency-Key"
	values := h.Values(name)
	if len(values) == 0 {
		return "", nil
	}
	if len(values) > 1 {
		return "", badHeader(name, "it appears %d times; send one", len(values))
	}
	key := values[0]
	if len(key) >= 2 && strings.HasPrefix(key, `"`) && strings.HasSuffix(key, `"`) {
		key = key[1 : len(key)-1]
	}
	if key == "" || len(key) > maxKeyBytes {
		return "", badHeader(name, "it has %d bytes; send 1 to %d", len(key), maxKeyBytes)
	}
	for _, c := range []byte(key) {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return "", badHeader(name, "it contains the byte %#02x; send printable ASCII without quotes and backslashes", c)
		}
	}
	return key, nil
}

// fingerprint is equal for two requests if they are the same command: same method, path and body.
func fingerprint(method, path string, body []byte) [32]byte {
	h := sha256.New()
	for _, part := range []string{method, path} {
		_, _ = io.WriteString(h, part) // a hash never fails
		_, _ = h.Write([]byte{0})
	}
	_, _ = h.Write(body)
	return [32]byte(h.Sum(nil))
}

// storedResult returns the answer that was stored for the key of p, if it is not older than the window.
func (o *owner) storedResult(p *pending) (result, bool, error) {
	row, ok, err := o.store.Get(nil, resultKey(p.id, p.key))
	if err != nil || !ok {
		return result{}, false, err
	}
	r, err := decodeResult(row)
	if err != nil {
		return result{}, false, err
	}
	if r.timestamp < o.expiry() {
		return result{}, false, nil
	}
	return r, true, nil
}

// expiry returns the time before which results have expired. A step of the wall clock makes none expire: a command that
// is repeated after it must not be executed twice.
func (o *owner) expiry() int64 { return o.steady.now().Add(-o.window).UnixMilli() }

// trackResultAge keeps the local rows by which results are found in the order of their age. It is called for each row
// that is written or deleted (then value is nil), and ignores rows that are not results.
func (o *owner) trackResultAge(batch *state.Batch, key, value []byte) error {
	name, storeKey, ok := state.SplitRowKey(key)
	if !ok || name != resultStore {
		return nil
	}
	old, exists, err := o.store.Get(nil, key)
	if err != nil {
		return err
	}
	if exists {
		timestamp, _, err := state.SplitRowValue(old)
		if err != nil {
			return err
		}
		batch.DeleteLocal(resultAgeKey(timestamp, storeKey))
	}
	if value != nil {
		timestamp, _, err := state.SplitRowValue(value)
		if err != nil {
			return err
		}
		batch.SetLocal(resultAgeKey(timestamp, storeKey), nil)
	}
	return nil
}

// maxExpired is how many expired results one commit deletes at most.
const maxExpired = 64

// expire deletes the oldest expired results, at most maxExpired of them, and returns how many.
func (tx *transaction) expire(batch *state.Batch) (n int, err error) {
	for row, err := range tx.o.store.Scan([]byte(resultAges), resultAgeKey(tx.o.expiry(), nil)) {
		if err != nil {
			return n, fmt.Errorf("expired results: %w", err)
		}
		_, storeKey, err := splitResultAgeKey(row.Key)
		if err != nil {
			return n, fmt.Errorf("expired results: %w", err)
		}
		batch.DeleteLocal(row.Key)
		batch.Delete(state.AppendRowKey(nil, resultStore, storeKey))
		if n++; n == maxExpired {
			break
		}
	}
	return n, nil
}
