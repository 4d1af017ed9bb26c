package edge

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strings"
)

// exchange is what identifies one request in logs, problems and events. It is made once by the outermost handler and
// belongs to the goroutine of the request.
type exchange struct {
	requestID string
	method    string
	path      string // as sent, escaped, without the query
	trace     trace
	route     string // template of the route, "" before and without routing
}

// newID returns a text that nothing else has: 26 letters and digits, 130 bits of randomness.
func newID() string { return rand.Text() }

type exchangeKey struct{}

// exchangeOf returns the exchange of the request that ctx belongs to.
func exchangeOf(ctx context.Context) *exchange {
	e, ok := ctx.Value(exchangeKey{}).(*exchange)
	if !ok {
		return &exchange{} // not a request of ours: a test, or code that made its own context
	}
	return e
}

// newExchange takes over the ids that the client sent, if they are well-formed, and makes the missing ones.
func newExchange(r *http.Request) *exchange {
	e := &exchange{method: r.Method, path: r.URL.EscapedPath(), requestID: r.Header.Get("X-Request-Id")}
	if !validRequestID(e.requestID) {
		e.requestID = newID()
	}
	var ok bool
	if e.trace, ok = parseTrace(r.Header.Get("Traceparent")); !ok {
		e.trace = newTrace()
	}
	return e
}

// validRequestID accepts what can be logged and sent back without harm.
func validRequestID(id string) bool {
	if id == "" || len(id) > 128 {
		return false
	}
	for _, c := range []byte(id) {
		if c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// trace is a traceparent of W3C Trace Context, as text.
type trace string

// newTrace starts a trace that is not sampled.
func newTrace() trace {
	var id [24]byte
	_, _ = rand.Read(id[:]) // never fails
	return trace("00-" + hex.EncodeToString(id[:16]) + "-" + hex.EncodeToString(id[16:]) + "-00")
}

// parseTrace accepts version 00 and what later versions promise to keep.
func parseTrace(s string) (trace, bool) {
	parts := strings.Split(s, "-")
	if len(parts) < 4 || (parts[0] == "00" && len(parts) != 4) || parts[0] == "ff" {
		return "", false
	}
	for i, size := range []int{2, 32, 16, 2} {
		if len(parts[i]) != size || strings.Trim(parts[i], "0123456789abcdef") != "" {
			return "", false
		}
	}
	if strings.Trim(parts[1], "0") == "" || strings.Trim(parts[2], "0") == "" {
		return "", false
	}
	return trace(s), true
}

// traceID returns the part that is the same for the whole trace.
func (t trace) traceID() string {
	if len(t) < 35 {
		return ""
	}
	return string(t[3:35])
}
