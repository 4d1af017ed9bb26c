package edge

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gorilla/mux"

	"github.com/seed84377926/millrace/aggregates"
	"github.com/seed84377926/millrace/internal/murmur2"
)

// AggregateOptions says where an aggregate type is served and where its events go.
type AggregateOptions struct {
	// Path is the URL path of one aggregate, with {id} as its last segment, such as "/v1/flights/{id}". Commands are
	// sent to POST {Path}/commands/{command}. Required.
	Path string

	// Topic receives the events. It is created if it is missing. Required.
	Topic string

	// Partitions of the event topic. Their number belongs to the topic for ever, since it decides where each aggregate
	// is: another number of an existing topic is refused. Required.
	Partitions int32

	// Replication is the replication factor of the topics. 0 accepts any, and takes the default of the broker for new
	// ones.
	Replication int16

	// ValidID says what is wrong with an id, in words for clients. Ids are never empty, longer than 200 bytes, or
	// contain control characters, whatever it says. The default has no further wishes.
	ValidID func(id string) error
}

func (o AggregateOptions) validate() error {
	var problems []error
	if !strings.HasPrefix(o.Path, "/") || !strings.HasSuffix(o.Path, "/{id}") || strings.Count(o.Path, "{") != 1 {
		problems = append(problems, fmt.Errorf("AggregateOptions.Path is %q; give a path that ends with /{id}", o.Path))
	}
	if o.Topic == "" {
		problems = append(problems, errors.New("AggregateOptions.Topic is empty; give the topic of the events"))
	}
	if o.Partitions <= 0 {
		problems = append(problems, fmt.Errorf("AggregateOptions.Partitions is %d; give a positive number", o.Partitions))
	}
	return errors.Join(problems...)
}

const maxIDBytes = 200

// checkID says what is wrong with the id of an aggregate.
func (o AggregateOptions) checkID(id string) error {
	switch {
	case id == "":
		return errors.New("it is empty")
	case len(id) > maxIDBytes:
		return fmt.Errorf("it has %d bytes, at most %d are allowed", len(id), maxIDBytes)
	case !utf8.ValidString(id):
		return errors.New("it is not UTF-8")
	case strings.ContainsFunc(id, unicode.IsControl):
		return errors.New("it contains control characters")
	case o.ValidID != nil:
		return o.ValidID(id)
	}
	return nil
}

// served is an aggregate type that a server serves.
type served struct {
	typ     aggregates.Type
	options AggregateOptions
	owners  *owners // set before the server listens
}

// serveCommand handles POST {Path}/commands/{command}.
func (s *Server) serveCommand(v *served, w http.ResponseWriter, r *http.Request) {
	about := exchangeOf(r.Context())
	p, problem := s.readCommand(v, about, w, r)
	if problem != nil {
		problem.answer(about).send(w)
		return
	}
	s.executeCommand(r, v, p).send(w)
}

// readCommand checks everything that does not depend on state: nothing of it reaches Kafka.
func (s *Server) readCommand(v *served, about *exchange, w http.ResponseWriter, r *http.Request) (*pending, *Problem) {
	if !acceptsJSON(r.Header) {
		return nil, notAcceptable()
	}
	id, err := url.PathUnescape(mux.Vars(r)["id"])
	if err == nil {
		err = v.options.checkID(id)
	}
	if err != nil {
		return nil, invalidPath("id", err)
	}
	name := mux.Vars(r)["command"]
	if problem := checkContent(r.Header); problem != nil {
		return nil, problem
	}
	asked, bad := parsePrecondition(r.Header)
	if bad != nil {
		return nil, bad
	}
	key, bad := parseIdempotencyKey(r.Header)
	if bad != nil {
		return nil, bad
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.config.MaxBodyBytes))
	if err != nil {
		return nil, unreadable(err)
	}
	command, err := v.typ.Decode(name, body)
	if err != nil {
		return nil, s.invalidCommand(about, err)
	}
	return &pending{
		about: about, id: id, location: strings.Replace(v.options.Path, "{id}", url.PathEscape(id), 1),
		key: key, fingerprint: fingerprint(r.Method, about.path, body),
		commandID: newID(), command: command, asked: asked,
	}, nil
}

// executeCommand passes a command to its owner and waits for the answer.
func (s *Server) executeCommand(r *http.Request, v *served, p *pending) *answer {
	o := v.owners.of(murmur2.Partition([]byte(p.id), v.options.Partitions))
	if o == nil {
		return notReady(stopped, "the partition is not assigned to this server").answer(p.about)
	}
	if problem := o.submit(p); problem != nil {
		return problem.answer(p.about)
	}
	timeout := time.NewTimer(s.config.CommandTimeout)
	defer timeout.Stop()
	select {
	case <-p.done:
	case <-timeout.C:
		if o.abandon(p) {
			return timedOut(s.config.CommandTimeout, false, p.key != "").answer(p.about)
		}
		select {
		case <-p.done: // at the last moment
		default:
			return timedOut(s.config.CommandTimeout, true, p.key != "").answer(p.about)
		}
	case <-r.Context().Done():
		// The client is gone and sees none of this; if the owner has begun, the command takes its course.
		return timedOut(0, !o.abandon(p), p.key != "").answer(p.about)
	}
	if p.failed != nil {
		return p.failed.answer(p.about)
	}
	return p.answer
}

// fingerprint tells whether two requests are the same command.
func fingerprint(method, path string, body []byte) [32]byte {
	h := sha256.New()
	for _, part := range []string{method, path} {
		_, _ = io.WriteString(h, part) // a hash takes everything
		_, _ = h.Write([]byte{0})
	}
	_, _ = h.Write(body)
	return [32]byte(h.Sum(nil))
}

const maxKeyBytes = 255

// parseIdempotencyKey reads the key as a structured string ("…") or, since most clients send it so, as it is.
func parseIdempotencyKey(h http.Header) (string, *Problem) {
	const name = "Idempotency-Key"
	values := h.Values(name)
	if len(values) == 0 {
		return "", nil
	}
	if len(values) > 1 {
		return "", badHeader(name, "it appears %d times; send one", len(values))
	}
	key := values[0]
	if len(key) >= 2 && strings.HasPrefix(key, `"`) && strings.HasSuffix(key, `"`) {
		key = key[1 : len(key)-1]
	}
	if key == "" || len(key) > maxKeyBytes {
		return "", badHeader(name, "it has %d bytes; send 1 to %d", len(key), maxKeyBytes)
	}
	for _, c := range []byte(key) {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return "", badHeader(name, "it contains the byte %#02x; send printable ASCII without quotes and backslashes", c)
		}
	}
	return key, nil
}

// unreadable is the problem of a body that could not be read.
func unreadable(err error) *Problem {
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return problem(http.StatusRequestEntityTooLarge, "body-too-large", "The body is too large",
			"at most %d bytes are accepted", tooLarge.Limit).with("limit", tooLarge.Limit)
	}
	return problem(http.StatusBadRequest, "body-unreadable", "The body could not be read",
		"the connection ended or timed out before the end of the body")
}

// invalidPath is the problem of a path variable that does not stand for anything.
func invalidPath(name string, err error) *Problem {
	p := problem(http.StatusBadRequest, "invalid-parameter", "A parameter is invalid", "%s: %v", name, err)
	p.Errors = []ProblemError{{Parameter: name, Detail: err.Error()}}
	return p
}

// invalidCommand translates the errors of aggregates.Type.Decode.
func (s *Server) invalidCommand(about *exchange, err error) *Problem {
	if unknown, ok := errors.AsType[*aggregates.UnknownCommandError](err); ok {
		return problem(http.StatusNotFound, "unknown-command", "There is no such command",
			"%q is not a command of %q", unknown.Command, unknown.Aggregate).with("commands", unknown.Known)
	}
	invalid, ok := errors.AsType[*aggregates.InvalidCommandError](err)
	if !ok {
		return incident(s.log, about, err)
	}
	p := problem(http.StatusUnprocessableEntity, "invalid-command", "The command is invalid", "%v", invalid)
	if invalid.Malformed {
		p = problem(http.StatusBadRequest, "malformed-command", "The body is not the command", "%v", invalid).with("offset", invalid.Offset)
	}
	for _, field := range invalid.Fields {
		p.Errors = append(p.Errors, ProblemError{Pointer: &field.Pointer, Detail: field.Detail})
	}
	return p
}
