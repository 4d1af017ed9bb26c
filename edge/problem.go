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

// Problem is an error as clients see it (RFC 9457). It implements error, so that a [QueryFunc] can return one. Clients
// see everything in it: causes and internals belong in the log.
type Problem struct {
	// Status is the HTTP status, 400 to 599.
	Status int
	// Type is a URI that identifies the kind of problem and never changes. The edge's own are "/problems/{name}"; the
	// types of broken rules are "/problems/{aggregate type}/{code of the rule}".
	Type string
	// Title describes the type in words. All problems of one type have the same title.
	Title string
	// Detail explains this occurrence. It may be empty.
	Detail string
	// Errors are the parts of the request that are wrong. It may be empty.
	Errors []ProblemError
	// Extra are more members, by name.
	Extra map[string]any
	// RetryAfter, if positive, tells the client how long to wait before it tries again. It is rounded up to seconds.
	RetryAfter time.Duration

	header http.Header // more header fields of the answer
}

// ProblemError says what is wrong with one part of a request. Exactly one of Pointer, Parameter and Header names the
// part.
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

// NotFound returns a problem with status 404, for a thing that does not exist. It is for query functions.
func NotFound(format string, args ...any) *Problem {
	return problem(http.StatusNotFound, "not-found", "There is nothing here", format, args...)
}

// BadRequest returns a problem with status 400, for a request that makes no sense. It is for query functions. For
// parameters, the methods of [Request] make better problems.
func BadRequest(format string, args ...any) *Problem {
	return problem(http.StatusBadRequest, "bad-request", "The request makes no sense", format, args...)
}

// problem returns a problem of one of the edge's own types.
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

// retryAfter sets RetryAfter.
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

// reserved reports whether name is a member that Extra must not replace.
func reserved(name string) bool {
	switch name {
	case "type", "title", "status", "detail", "instance", "requestId", "traceId", "errors":
		return true
	}
	return false
}

// render encodes the problem. Members of Extra that cannot be encoded are left out: an answer with a problem must not
// fail.
func (p *Problem) render(about *exchange) []byte {
	var b bytes.Buffer
	enc := jsontext.NewEncoder(&b)
	member := func(name string, value any) {
		data, err := marshal(value)
		if err != nil {
			return
		}
		// Neither can fail: the buffer accepts everything, and both are well-formed here.
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

// marshal encodes JSON deterministically, so that equal data has equal ETags.
func marshal(v any) ([]byte, error) { return json.Marshal(v, json.Deterministic(true), durations()) }

// internalError returns the problem for a failure whose text clients must not see. The log has the text, with the
// incident id.
func internalError(incident string) *Problem {
	return problem(http.StatusInternalServerError, "internal", "Something went wrong inside",
		"the failure was logged as incident %s", incident).with("incident", incident)
}
