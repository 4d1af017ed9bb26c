package edge

import (
	jsonv1 "encoding/json"
	"encoding/json/v2"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const jsonType = "application/json"

// durations keeps time.Duration what it is in the rest of the system: a number of nanoseconds.
func durations() json.Options { return jsonv1.FormatDurationAsNano(true) }

// acceptsJSON says whether the client can take JSON. No Accept header means anything goes.
func acceptsJSON(h http.Header) bool {
	values := h.Values("Accept")
	if len(values) == 0 {
		return true
	}
	// The most specific range that matches decides, so "application/json;q=0, */*" refuses JSON.
	best, accepted := -1, false
	for part := range strings.SplitSeq(strings.Join(values, ","), ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		mediaRange, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		specific := -1
		switch mediaRange {
		case jsonType:
			specific = 2
		case "application/*":
			specific = 1
		case "*/*":
			specific = 0
		}
		if specific > best {
			best, accepted = specific, quality(params) > 0
		}
	}
	return accepted
}

func quality(params map[string]string) float64 {
	q, ok := params["q"]
	if !ok {
		return 1
	}
	value, err := strconv.ParseFloat(q, 64)
	if err != nil {
		return 0
	}
	return value
}

func notAcceptable() *Problem {
	return problem(http.StatusNotAcceptable, "not-acceptable", "The answer cannot be had in that format",
		"the answer can be %s", jsonType).with("available", []string{jsonType})
}

// checkContent says what is wrong with the way a body is encoded.
func checkContent(h http.Header) *Problem {
	if encoding := h.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return problem(http.StatusUnsupportedMediaType, "unsupported-encoding", "The content encoding is not supported",
			"the body is sent as %q; send it as it is", encoding).withHeader("Accept-Encoding", "identity")
	}
	unsupported := problem(http.StatusUnsupportedMediaType, "unsupported-media-type", "The media type is not supported",
		"the body is %q; send %s", h.Get("Content-Type"), jsonType).withHeader("Accept-Post", jsonType)
	mediaType, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || mediaType != jsonType {
		return unsupported
	}
	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return unsupported
	}
	return nil
}

// preferences is what the edge understands of Prefer (RFC 7240). What it does not understand it ignores, as it must.
type preferences struct {
	wait    time.Duration
	hasWait bool
	lenient bool
}

func parsePreferences(h http.Header) preferences {
	var p preferences
	seen := make(map[string]bool)
	for part := range strings.SplitSeq(strings.Join(h.Values("Prefer"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(strings.SplitN(part, ";", 2)[0]), "=")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.Trim(strings.TrimSpace(value), `"`)
		if seen[name] {
			continue // the first of several counts
		}
		seen[name] = true
		switch name {
		case "wait":
			if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
				p.wait, p.hasWait = time.Duration(seconds)*time.Second, true
			}
		case "handling":
			p.lenient = strings.EqualFold(value, "lenient")
		}
	}
	return p
}

// applied renders Preference-Applied.
func (p preferences) applied(wait time.Duration) string {
	var parts []string
	if p.hasWait {
		parts = append(parts, "wait="+strconv.FormatInt(int64(wait/time.Second), 10))
	}
	if p.lenient {
		parts = append(parts, "handling=lenient")
	}
	return strings.Join(parts, ", ")
}
