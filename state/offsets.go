package state

import (
	"encoding/base64"
	"fmt"
	"maps"
)

// Offsets is a set of input positions: the next offset of each topic partition. A view reflects such a set. A client
// that wants an answer from a view that reflects certain inputs sends their Offsets as its consistency token.
type Offsets map[TopicPartition]int64

// Merge returns a new map with the larger offset of each entry. Offsets that cover the result cover both.
func (o Offsets) Merge(other Offsets) Offsets {
	merged := make(Offsets, len(o)+len(other))
	maps.Copy(merged, o)
	for tp, offset := range other {
		if known, ok := merged[tp]; !ok || offset > known {
			merged[tp] = offset
		}
	}
	return merged
}

// Covers reports whether no required offset is higher than the offset of the same partition here. A partition that is
// missing here has offset 0.
func (o Offsets) Covers(required Offsets) bool {
	for tp, offset := range required {
		if offset > 0 && o[tp] < offset {
			return false
		}
	}
	return true
}

const tokenVersion = 1

// Token returns the offsets as text that fits in an HTTP header or a URL: base64url without padding. Without offsets it
// is the empty text. Equal offsets have equal tokens.
func (o Offsets) Token() string {
	if len(o) == 0 {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(appendOffsets([]byte{tokenVersion}, o))
}

// ParseToken is the inverse of [Offsets.Token]. The result is never nil, and empty for the empty text.
func ParseToken(token string) (Offsets, error) {
	if token == "" {
		return Offsets{}, nil
	}
	// Strict refuses stray bits at the end, which would allow many spellings of one token.
	data, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil {
		return nil, fmt.Errorf("parse position token: %w", err)
	}
	d := decoder{data: data}
	if version := d.byte(); d.err == nil && version != tokenVersion {
		return nil, fmt.Errorf("parse position token: version %d, this program reads version %d", version, tokenVersion)
	}
	offsets := d.offsets()
	if err := d.end(); err != nil {
		return nil, fmt.Errorf("parse position token: %w", err)
	}
	return offsets, nil
}
