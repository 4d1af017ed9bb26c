package edge

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"github.com/seed84377926/millrace/aggregates"
	"github.com/seed84377926/millrace/internal/murmur2"
)

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

// readCommand reads a request and makes all checks that do not depend on state. A request that fails one reaches no
// owner.
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
	precondition, bad := parsePrecondition(r.Header)
	if bad != nil {
		return nil, bad
	}
	key, bad := parseIdempotencyKey(r.Header)
	if bad != nil {
		return nil, bad
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.config.MaxBodyBytes))
	if err != nil {
		return nil, unreadableBody(err)
	}
	command, err := v.typ.Decode(name, body)
	if err != nil {
		return nil, s.invalidCommand(about, err)
	}
	return &pending{
		about: about, id: id, location: strings.Replace(v.options.Path, "{id}", url.PathEscape(id), 1),
		key: key, fingerprint: fingerprint(r.Method, about.path, body),
		commandID: newID(), command: command, precondition: precondition,
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
		case <-p.done: // answered at the last moment
		default:
			return timedOut(s.config.CommandTimeout, true, p.key != "").answer(p.about)
		}
	case <-r.Context().Done():
		// The client is gone and does not see this answer. A command that the owner has taken is executed anyway.
		return timedOut(0, !o.abandon(p), p.key != "").answer(p.about)
	}
	if p.failed != nil {
		return p.failed.answer(p.about)
	}
	return p.answer
}

// unreadableBody returns the problem for a body that could not be read.
func unreadableBody(err error) *Problem {
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return problem(http.StatusRequestEntityTooLarge, "body-too-large", "The body is too large",
			"at most %d bytes are accepted", tooLarge.Limit).with("limit", tooLarge.Limit)
	}
	return problem(http.StatusBadRequest, "body-unreadable", "The body could not be read",
		"the connection ended or timed out before the end of the body")
}

// invalidPath returns the problem for an invalid path variable.
func invalidPath(name string, err error) *Problem {
	p := problem(http.StatusBadRequest, "invalid-parameter", "A parameter is invalid", "%s: %v", name, err)
	p.Errors = []ProblemError{{Parameter: name, Detail: err.Error()}}
	return p
}

// invalidCommand returns the problem for an error of aggregates.Type.Decode.
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
