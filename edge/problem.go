package edge

import (
	"bytes"
	"encoding/json/jsontext"
	"encoding/json/v2"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
)

const problemType = "application/problem+json"

// Problem is an error as clients see it (RFC 9457). It is an error, so that a [QueryFunc] can return one. What it says
// must be fit for clients: causes and internals go to the log.
type Problem struct {
	// Status is the HTTP status, 400 to 599.
	Status int
	// Type is a URI that identifies the kind of problem and never changes. Those of the edge are
	// "/problems/" and a name; those of broken rules "/problems/", the aggregate type, "/", the code of the rule.
	Type string
	// Title says the same in words. It is the same for all problems of the type.
	Title string
	// Detail explains this occurrence. May be empty.
	Detail string
	// Errors are the parts of the request that are wrong, if it is about several.
	Errors []ProblemError
	// Extra are further members, by name.
	Extra map[string]any
	// RetryAfter, if positive, tells the client when to try again. It is rounded up to seconds.
	RetryAfter time.Duration

	header http.Header // further header fields of the answer
}

// ProblemError says what is wrong with one part of a request. One of Pointer, Parameter and Header names the part.
type ProblemError struct {
	Pointer   *string `json:"pointer,omitempty"` // JSON pointer into the body; "" is the whole of it
	Parameter string  `json:"parameter,omitempty"`
	Header    string  `json:"header,omitempty"`
	Detail    string  `json:"detail"`
}

// Error implements error.
func (p *Problem) Error() string {
	if p.Detail == "" {
		return fmt.Sprintf("%d %s", p.Status, p.Title)
	}
	return fmt.Sprintf("%d %s: %s", p.Status, p.Title, p.Detail)
}

// NotFound returns the problem of a thing that does not exist, for query functions.
func NotFound(format string, args ...any) *Problem {
	return problem(http.StatusNotFound, "not-found", "There is nothing here", format, args...)
}

// BadRequest returns the problem of a request that makes no sense, for query functions. For parameters the methods of
// [Request] make better ones.
func BadRequest(format string, args ...any) *Problem {
	return problem(http.StatusBadRequest, "bad-request", "The request makes no sense", format, args...)
}

// problem returns a problem of the edge's own types.
func problem(status int, name, title, format string, args ...any) *Problem {
	return &Problem{Status: status, Type: "/problems/" + name, Title: title, Detail: fmt.Sprintf(format, args...)}
}

// with adds an extension member.
func (p *Problem) with(name string, value any) *Problem {
	if p.Extra == nil {
		p.Extra = make(map[string]any)
	}
	p.Extra[name] = value
	return p
}

// withHeader adds a field to the header of the answer.
func (p *Problem) withHeader(name, value string) *Problem {
	if p.header == nil {
		p.header = make(http.Header)
	}
	p.header.Add(name, value)
	return p
}

// retryAfter sets when to try again.
func (p *Problem) retryAfter(d time.Duration) *Problem {
	p.RetryAfter = d
	return p
}

// answer renders the problem for one request.
func (p *Problem) answer(about *exchange) *answer {
	a := &answer{status: p.Status, body: p.render(about)}
	a.set("Content-Type", problemType)
	a.set("Cache-Control", "no-store")
	if p.RetryAfter > 0 {
		a.set("Retry-After", strconv.FormatInt(int64((p.RetryAfter+time.Second-1)/time.Second), 10))
	}
	for _, name := range slices.Sorted(maps.Keys(p.header)) {
		for _, value := range p.header[name] {
			a.set(name, value)
		}
	}
	return a
}

// reserved are the members that extensions must not shadow.
func reserved(name string) bool {
	switch name {
	case "type", "title", "status", "detail", "instance", "requestId", "traceId", "errors":
		return true
	}
	return false
}

// render writes the members in an order that reads well. Extensions that JSON cannot carry are left out: the problem
// itself must not fail.
func (p *Problem) render(about *exchange) []byte {
	var b bytes.Buffer
	enc := jsontext.NewEncoder(&b)
	member := func(name string, value any) {
		data, err := marshal(value)
		if err != nil {
			return
		}
		// Neither can fail: the buffer takes everything and both tokens are well-formed here.
		_ = enc.WriteToken(jsontext.String(name))
		_ = enc.WriteValue(data)
	}
	_ = enc.WriteToken(jsontext.BeginObject)
	member("type", p.Type)
	member("title", p.Title)
	member("status", p.Status)
	if p.Detail != "" {
		member("detail", p.Detail)
	}
	member("instance", about.path)
	member("requestId", about.requestID)
	member("traceId", about.trace.traceID())
	if len(p.Errors) > 0 {
		member("errors", p.Errors)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Extra)) {
		if !reserved(name) {
			member(name, p.Extra[name])
		}
	}
	_ = enc.WriteToken(jsontext.EndObject)
	return b.Bytes()
}

// marshal is how the edge writes JSON: deterministic, so that equal data has equal ETags.
func marshal(v any) ([]byte, error) { return json.Marshal(v, json.Deterministic(true), durations()) }

// internalError is the problem of a failure that is nobody's business but ours; the log has the rest under its
// incident id.
func internalError(incident string) *Problem {
	return problem(http.StatusInternalServerError, "internal", "Something went wrong inside",
		"the failure was logged as incident %s", incident).with("incident", incident)
}
