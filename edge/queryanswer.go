package edge

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json/jsontext"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/seed84377926/millrace/state"
)

// meta is the member "meta" of a query's answer.
type meta struct {
	Position []nextOffset `json:"position"`
	Stale    bool         `json:"stale"`
	Next     string       `json:"next,omitempty"`
}

// nextOffset is an entry of state.Offsets as JSON.
type nextOffset struct {
	Topic      string `json:"topic"`
	Partition  int32  `json:"partition"`
	NextOffset int64  `json:"nextOffset"`
}

func positionJSON(offsets state.Offsets) []nextOffset {
	list := make([]nextOffset, 0, len(offsets))
	for tp, next := range offsets {
		list = append(list, nextOffset{tp.Topic, tp.Partition, next})
	}
	slices.SortFunc(list, func(a, b nextOffset) int {
		if c := strings.Compare(a.Topic, b.Topic); c != 0 {
			return c
		}
		return int(a.Partition - b.Partition)
	})
	return list
}

// render returns the answer with the data, or 304 if the client has the same data already.
func render(r *Request, data any, m meta, token, preferences string) (*answer, error) {
	encoded, err := marshal(data)
	if err != nil {
		return nil, fmt.Errorf("encode the answer: %w", err)
	}
	sum := sha256.Sum256(append(encoded, m.Next...))
	tag := `W/"` + hex.EncodeToString(sum[:12]) + `"`

	a := &answer{status: http.StatusOK}
	a.set("Etag", tag)
	a.set("Cache-Control", "no-cache")
	a.set("Vary", "Accept, Consistency-Token, Read-After, Prefer")
	if token != "" {
		a.set("Consistency-Token", token)
	}
	if preferences != "" {
		a.set("Preference-Applied", preferences)
	}
	if none, bad := parsePrecondition(http.Header{"If-None-Match": r.http.Header.Values("If-None-Match")}); bad == nil &&
		none.noneMatch != nil && (none.noneMatch.any || none.noneMatch.weak(tag)) && r.query.method == http.MethodGet {
		a.status = http.StatusNotModified
		return a, nil
	}
	a.set("Content-Type", jsonType)
	if m.Next != "" {
		a.set("Link", "<"+r.nextLink()+`>; rel="next"`)
	}
	a.body, err = withMeta(encoded, m)
	return a, err
}

// withMeta adds meta to data. If data is not an object, it becomes the member "data" of one.
func withMeta(data jsontext.Value, m meta) ([]byte, error) {
	if data.Kind() != '{' {
		return marshal(struct {
			Data jsontext.Value `json:"data"`
			Meta meta           `json:"meta"`
		}{data, m})
	}
	encoded, err := marshal(m)
	if err != nil {
		return nil, err
	}
	object := bytes.TrimSpace(data)
	open := object[:len(object)-1]
	body := append(make([]byte, 0, len(object)+len(encoded)+len(`,"meta":`)), open...)
	if len(open) > 1 {
		body = append(body, ',')
	}
	body = append(body, `"meta":`...)
	body = append(body, encoded...)
	return append(body, '}'), nil
}
