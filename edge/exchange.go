package edge

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strings"
)

// exchange identifies one request in logs, problems and events. The outermost handler makes it. It belongs to the
// goroutine of the request.
type exchange struct {
	requestID string
	method    string
	path      string // as sent, escaped, without the query
	trace     trace
	route     string // template of the route, "" if there is none or it is not known yet
}

// newID returns a unique text: 26 letters and digits, 130 random bits.
func newID() string { return rand.Text() }

type exchangeKey struct{}

// exchangeOf returns the exchange of the request that ctx belongs to.
func exchangeOf(ctx context.Context) *exchange {
	e, ok := ctx.Value(exchangeKey{}).(*exchange)
	if !ok {
		return &exchange{} // ctx is not of a request: a test, or code that made its own context
	}
	return e
}

// newExchange takes the ids that the client sent, if they are well-formed, and makes the others.
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

// validRequestID accepts ids that can be logged and sent back without harm.
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

// trace is the text of a W3C traceparent.
type trace string

// newTrace starts a trace that is not sampled.
func newTrace() trace {
	var id [24]byte
	_, _ = rand.Read(id[:]) // never fails
	return trace("00-" + hex.EncodeToString(id[:16]) + "-" + hex.EncodeToString(id[16:]) + "-00")
}

// parseTrace accepts version 00 of traceparent. Of later versions it reads only the fields that every version must have
// in the same form.
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

// traceID returns the id of the whole trace.
func (t trace) traceID() string {
	if len(t) < 35 {
		return ""
	}
	return string(t[3:35])
}
