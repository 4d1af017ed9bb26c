package edge

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json/v2"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// signer makes and checks cursors: signed JSON, which the client cannot change or use for another query.
//
//	base64url( HMAC-SHA256(key, scope ‖ 00 ‖ JSON) ‖ JSON )
type signer struct{ key []byte }

const keyFile = "cursor.key"

// newSigner takes the key from the configuration, or makes one and keeps it in the directory.
func newSigner(config Config) (*signer, error) {
	if len(config.CursorKey) > 0 {
		return &signer{config.CursorKey}, nil
	}
	path := filepath.Join(config.Dir, keyFile)
	key, err := os.ReadFile(path)
	switch {
	case err == nil && len(key) >= minCursorKey:
		return &signer{key}, nil
	case err == nil:
		return nil, fmt.Errorf("edge: %s has %d bytes, want at least %d; remove it to get a new key", path, len(key), minCursorKey)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("edge: key of cursors: %w", err)
	}
	key = make([]byte, minCursorKey)
	_, _ = rand.Read(key) // never fails
	// The file gets its name when it is complete: a crash must not leave half a key.
	temporary := path + ".new"
	if err := os.WriteFile(temporary, key, 0o600); err != nil {
		return nil, fmt.Errorf("edge: key of cursors: %w", err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return nil, fmt.Errorf("edge: key of cursors: %w", err)
	}
	return &signer{key}, nil
}

func (s *signer) mac(scope string, data []byte) []byte {
	h := hmac.New(sha256.New, s.key)
	_, _ = h.Write(append([]byte(scope), 0)) // a hash never fails
	_, _ = h.Write(data)
	return h.Sum(nil)
}

// sign returns v as a cursor that open accepts only with the same scope.
func (s *signer) sign(scope string, v any) (string, error) {
	data, err := marshal(v)
	if err != nil {
		return "", fmt.Errorf("cursor: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(append(s.mac(scope, data), data...)), nil
}

var errCursor = errors.New("it is not a cursor of this query")

// open decodes a cursor into v. It accepts only cursors that sign made with the same scope.
func (s *signer) open(scope, cursor string, v any) error {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(raw) < sha256.Size {
		return errCursor
	}
	mac, data := raw[:sha256.Size], raw[sha256.Size:]
	if !hmac.Equal(mac, s.mac(scope, data)) {
		return errCursor
	}
	if err := json.Unmarshal(data, v, durations()); err != nil {
		return errCursor // signed by this edge, for another version of the query
	}
	return nil
}
