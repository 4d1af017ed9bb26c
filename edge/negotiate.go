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

// durations encodes a time.Duration as elsewhere in this module: as a number of nanoseconds.
func durations() json.Options { return jsonv1.FormatDurationAsNano(true) }

// acceptsJSON reports whether the client accepts JSON. Without an Accept header it accepts everything.
func acceptsJSON(h http.Header) bool {
	values := h.Values("Accept")
	if len(values) == 0 {
		return true
	}
	// The most specific range that matches decides: "application/json;q=0, */*" refuses JSON.
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

// checkContent returns a problem if the header fields say that the body is not plain JSON, and nil otherwise.
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

// preferences are the preferences of Prefer (RFC 7240) that the edge knows. It ignores others, as the RFC demands.
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
			continue // the first one counts
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

// applied returns the value of Preference-Applied. wait is the wait that was applied.
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
