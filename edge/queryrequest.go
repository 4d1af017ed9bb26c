package edge

import (
	"bytes"
	"encoding/json/jsontext"
	"encoding/json/v2"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/mux"
)

// Request is the request of a query. The methods that read parameters never fail: if a parameter is invalid, they
// return the default and record the mistake. Read all parameters, and then return Err if it is not nil, so that the
// client learns about all mistakes at once. A Request belongs to one goroutine.
type Request struct {
	query  *query
	http   *http.Request
	params url.Values
	limit  int64 // bytes of the body
	signer *signer

	errs []ProblemError
	bug  error  // a mistake of the QueryFunc
	next string // cursor of the next page
	read bool   // Body was called
}

// Path returns a variable of the path, such as "code" of "/v1/carriers/{code}/delays".
func (r *Request) Path(name string) string {
	value, ok := mux.Vars(r.http)[name]
	if !ok {
		r.handlerBug("path variable", name)
		return ""
	}
	unescaped, err := url.PathUnescape(value)
	if err != nil {
		r.addError(name, "it is not a valid part of a URL")
		return ""
	}
	return unescaped
}

// Header returns a field of the request's header, "" if it is missing.
func (r *Request) Header(name string) string { return r.http.Header.Get(name) }

// Has reports whether a query parameter was sent.
func (r *Request) Has(name string) bool {
	_, ok := r.value(name)
	return ok
}

// Text returns a query parameter as it was sent.
func (r *Request) Text(name, def string) string {
	if value, ok := r.value(name); ok {
		return value
	}
	return def
}

// OneOf returns a query parameter, which must be one of the allowed values.
func (r *Request) OneOf(name, def string, allowed ...string) string {
	value, ok := r.value(name)
	switch {
	case !ok:
		return def
	case !slices.Contains(allowed, value):
		r.addError(name, "%q is not allowed; send one of %s", value, strings.Join(allowed, ", "))
		return def
	}
	return value
}

// Int returns a query parameter, which must be a whole number from least to most.
func (r *Request) Int(name string, least, most, def int) int {
	value, ok := r.value(name)
	if !ok {
		return def
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		r.addError(name, "%q is not a whole number from %d to %d", value, least, most)
		return def
	}
	return n
}

// Bool returns a query parameter, which must be true or false. A parameter without a value is true.
func (r *Request) Bool(name string, def bool) bool {
	switch value, ok := r.value(name); {
	case !ok:
		return def
	case value == "true", value == "":
		return true
	case value == "false":
		return false
	default:
		r.addError(name, "%q is neither true nor false", value)
		return def
	}
}

// Time returns a query parameter, which must be a time as in RFC 3339, such as 2026-11-23T04:00:00Z.
func (r *Request) Time(name string, def time.Time) time.Time {
	return r.time(name, time.RFC3339Nano, "a time as in RFC 3339, such as 2026-11-23T04:00:00Z", def)
}

// Date returns the beginning, in UTC, of the day in a query parameter, which must be a date such as 2026-11-23.
func (r *Request) Date(name string, def time.Time) time.Time {
	return r.time(name, time.DateOnly, "a day such as 2026-11-23", def)
}

func (r *Request) time(name, layout, what string, def time.Time) time.Time {
	value, ok := r.value(name)
	if !ok {
		return def
	}
	t, err := time.Parse(layout, value)
	if err != nil {
		hint := ""
		if strings.Contains(value, " ") {
			hint = "; write + as %2B"
		}
		r.addError(name, "%q is not %s%s", value, what, hint)
		return def
	}
	return t
}

// cursorParam is the query parameter of cursors. Queries that use cursors must have it in QueryOptions.Params.
const cursorParam = "cursor"

// Cursor reads the parameter "cursor" into v and reports whether there was one. It accepts only cursors that Next made
// for the same query, path and other parameters; "limit" may change.
func (r *Request) Cursor(v any) bool {
	value, ok := r.value(cursorParam)
	if !ok {
		return false
	}
	if err := r.signer.open(r.scope(), value, v); err != nil {
		r.addError(cursorParam, "%v; start without one", err)
		return false
	}
	return true
}

// Next says that there is another page. v says where that page begins: Cursor, called for the next request, reads v
// back. v is encoded as JSON, which clients can see but not change.
func (r *Request) Next(v any) {
	cursor, err := r.signer.sign(r.scope(), v)
	if err != nil {
		r.bug = errors.Join(r.bug, err)
		return
	}
	r.next = cursor
}

// scope is the request that a cursor is bound to: method, path and parameters, without cursor and limit.
func (r *Request) scope() string {
	params := url.Values{}
	for name, values := range r.params {
		if name != cursorParam && name != "limit" {
			params[name] = values
		}
	}
	return r.query.method + " " + r.http.URL.EscapedPath() + "?" + params.Encode()
}

// nextLink is the URL of the next page, relative to the server.
func (r *Request) nextLink() string {
	params := maps.Clone(r.params)
	params.Set(cursorParam, r.next)
	return r.http.URL.EscapedPath() + "?" + params.Encode()
}

// Body reads the JSON body of a QUERY request into v. Unknown and repeated fields are mistakes of the client. It may be
// called once.
func (r *Request) Body(v any) {
	if r.query.method != methodQuery || r.read {
		r.bug = errors.Join(r.bug, errors.New("Body is for QUERY requests, and can be called once"))
		return
	}
	r.read = true
	var data bytes.Buffer
	if _, err := data.ReadFrom(http.MaxBytesReader(nil, r.http.Body, r.limit)); err != nil {
		r.errs = append(r.errs, ProblemError{Pointer: new(string), Detail: "the body is too large or ended early"})
		return
	}
	err := json.Unmarshal(data.Bytes(), v, json.RejectUnknownMembers(true), durations())
	if err == nil {
		return
	}
	pointer, detail := "", "it is not JSON"
	if syntactic, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		pointer, detail = string(syntactic.JSONPointer), fmt.Sprintf("not JSON at byte %d: %v", syntactic.ByteOffset, syntactic.Err)
	} else if semantic, ok := errors.AsType[*json.SemanticError](err); ok {
		pointer, detail = string(semantic.JSONPointer), "the value does not fit here"
		if errors.Is(err, json.ErrUnknownName) {
			detail = "unknown field"
		}
	}
	r.errs = append(r.errs, ProblemError{Pointer: &pointer, Detail: detail})
}

// Invalid records that a parameter is invalid for a reason that the QueryFunc found.
func (r *Request) Invalid(name, format string, args ...any) { r.addError(name, format, args...) }

// Err returns one problem with all mistakes that were recorded so far, or nil.
func (r *Request) Err() error {
	if r.bug != nil {
		return r.bug
	}
	if len(r.errs) == 0 {
		return nil
	}
	names := make([]string, len(r.errs))
	for i, e := range r.errs {
		names[i] = e.Parameter
		if e.Pointer != nil {
			names[i] = "the body"
		}
		names[i] += ": " + e.Detail
	}
	p := problem(http.StatusBadRequest, "invalid-parameter", "A parameter is invalid", "%s", strings.Join(names, "; "))
	p.Errors = r.errs
	return p
}

// value returns a query parameter, which must be one of QueryOptions.Params.
func (r *Request) value(name string) (string, bool) {
	if !slices.Contains(r.query.options.Params, name) {
		r.handlerBug("query parameter", name)
		return "", false
	}
	values, ok := r.params[name]
	if !ok {
		return "", false
	}
	return values[0], true
}

// handlerBug records that the QueryFunc asked for a name that the query does not have.
func (r *Request) handlerBug(kind, name string) {
	r.bug = errors.Join(r.bug, fmt.Errorf("query %s %s has no %s %q; declare it where the query is registered", r.query.method, r.query.path, kind, name))
}

func (r *Request) addError(name, format string, args ...any) {
	r.errs = append(r.errs, ProblemError{Parameter: name, Detail: fmt.Sprintf(format, args...)})
}

// checkParams refuses unknown parameters, and parameters that were sent twice.
func (q *query) checkParams(params url.Values) *Problem {
	var wrong []ProblemError
	for name, values := range params {
		switch {
		case !slices.Contains(q.options.Params, name):
			wrong = append(wrong, ProblemError{Parameter: name, Detail: "unknown parameter"})
		case len(values) > 1:
			wrong = append(wrong, ProblemError{Parameter: name, Detail: fmt.Sprintf("it appears %d times; send it once", len(values))})
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	slices.SortFunc(wrong, func(a, b ProblemError) int { return strings.Compare(a.Parameter, b.Parameter) })
	allowed := slices.Sorted(slices.Values(q.options.Params))
	list := strings.Join(allowed, ", ")
	if list == "" {
		list = "none"
	}
	p := problem(http.StatusBadRequest, "invalid-parameter", "A parameter is invalid",
		"%s: %s; allowed: %s", wrong[0].Parameter, wrong[0].Detail, list).with("allowed", append([]string{}, allowed...))
	p.Errors = wrong
	return p
}
