package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/seed84377926/millrace/state"
)

const (
	// patience is how long a request is retried before the load fails.
	patience = 2 * time.Minute
	// attemptTimeout bounds one attempt.
	attemptTimeout = 30 * time.Second
	firstPause     = 20 * time.Millisecond
	longestPause   = time.Second
	// maxAnswer bounds the bytes read of a response.
	maxAnswer = 16 << 20
)

// Client is an HTTP client of the airport's edge. It is safe for concurrent use.
type Client struct {
	base string // http://127.0.0.1:8080
	http *http.Client
}

// newClient returns a client that keeps at most the given number of connections open.
func newClient(address string, connections int) *Client {
	return &Client{
		base: "http://" + address,
		http: &http.Client{
			Timeout: attemptTimeout,
			Transport: &http.Transport{
				DialContext:         (&net.Dialer{}).DialContext,
				MaxIdleConnsPerHost: connections,
				DisableCompression:  true,
			},
		},
	}
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Outcome is the result of a command.
type Outcome int

const (
	accepted Outcome = iota // executed now
	repeated                // executed before
	refused                 // rejected by a rule
)

// Answer is the edge's answer to a command.
type Answer struct {
	Outcome Outcome
	Detail  string        // why the command was refused
	Token   state.Offsets // a query that reflects the token sees the command's events
}

// problem holds the fields of an RFC 9457 problem document that the client reads.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Code   string `json:"code"` // code of the rule that rejected the command; empty for all other problems
}

// Post sends a command and returns the final answer of the edge. It retries failures that may be temporary, with the
// same Idempotency-Key, so that the command is executed once however often it is sent.
func (c *Client) Post(ctx context.Context, command *Command) (Answer, error) {
	path := "/v1/flights/" + command.Flight.String() + "/commands/" + command.Name
	header := http.Header{
		"Content-Type":    {"application/json"},
		"Idempotency-Key": {command.Key()},
	}
	reply, err := c.do(ctx, http.MethodPost, path, header, command.Body)
	if err != nil {
		return Answer{}, fmt.Errorf("command %s of flight %s: %w", command.Name, command.Flight, err)
	}
	token, err := state.ParseToken(reply.header.Get("Consistency-Token"))
	if err != nil {
		return Answer{}, fmt.Errorf("answer to command %s of flight %s: %w", command.Name, command.Flight, err)
	}
	answer := Answer{Token: token}
	switch {
	case reply.status < http.StatusMultipleChoices && reply.header.Get("Idempotency-Replayed") == "true":
		answer.Outcome = repeated
	case reply.status < http.StatusMultipleChoices:
		answer.Outcome = accepted
	case reply.problem.Code == alreadyCode(command.Name):
		answer.Outcome = repeated
	case reply.problem.Code != "":
		answer.Outcome, answer.Detail = refused, reply.problem.Detail
	default:
		return Answer{}, fmt.Errorf("command %s of flight %s: %w", command.Name, command.Flight, reply.err())
	}
	return answer, nil
}

// Get fetches a document that reflects at least token and decodes it into result.
func (c *Client) Get(ctx context.Context, path string, query url.Values, token state.Offsets, result any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	header := http.Header{}
	if len(token) > 0 {
		header.Set("Consistency-Token", token.Token())
	}
	reply, err := c.do(ctx, http.MethodGet, path, header, nil)
	if err != nil {
		return fmt.Errorf("get %s: %w", path, err)
	}
	if reply.status != http.StatusOK {
		return fmt.Errorf("get %s: %w", path, reply.err())
	}
	if err := json.Unmarshal(reply.body, result); err != nil {
		return fmt.Errorf("get %s: decode answer: %w", path, err)
	}
	return nil
}

// reply is a final response: a retry would not change it.
type reply struct {
	status  int
	header  http.Header
	body    []byte
	problem problem // if the status is 400 or above
}

func (r *reply) err() error { return &statusError{Status: r.status, problem: r.problem} }

// statusError is a response with an unexpected status.
type statusError struct {
	Status int
	problem
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%d %s: %s", e.Status, e.Title, e.Detail)
}

// do sends a request until the response is final, ctx ends or patience is over.
func (c *Client) do(ctx context.Context, method, path string, header http.Header, body []byte) (*reply, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("no final answer in "+patience.String()))
	defer cancel()
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		r, err := c.try(ctx, method, path, header, body)
		if err == nil && !r.mayChange() {
			return r, nil
		}
		if err == nil {
			err = r.err()
		}
		jittered := pause/2 + rand.N(pause/2)
		select {
		case <-time.After(jittered):
		case <-ctx.Done():
			return nil, fmt.Errorf("%w; the last try: %w", context.Cause(ctx), err)
		}
	}
}

// mayChange reports whether a retry may get another response: the edge is starting, handing over a partition or
// overloaded, its views lag, or it is still busy with an earlier attempt of the same command.
func (r *reply) mayChange() bool {
	switch r.status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	default:
		return r.problem.Type == "/problems/idempotency-key-in-flight"
	}
}

func (c *Client) try(ctx context.Context, method, path string, header http.Header, body []byte) (*reply, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header = header
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }() // the body was read or abandoned, so the error does not matter
	r := &reply{status: response.StatusCode, header: response.Header}
	if r.body, err = io.ReadAll(io.LimitReader(response.Body, maxAnswer)); err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if r.status >= http.StatusBadRequest && json.Unmarshal(r.body, &r.problem) != nil {
		r.problem.Detail = string(r.body)
	}
	return r, nil
}

// Knows reports whether the flight of a command has reached the status that the command leads to, or a later one.
func (c *Client) Knows(ctx context.Context, command *Command, token state.Offsets) (bool, error) {
	var flight FlightView
	err := c.Get(ctx, "/v1/flights/"+command.Flight.String(), nil, token, &flight)
	if missing := (*statusError)(nil); errors.As(err, &missing) && missing.Status == http.StatusNotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	switch command.Name {
	case "schedule":
		return true, nil
	case "depart":
		return flight.DepartedAt != nil, nil
	case "arrive":
		return flight.ArrivedAt != nil, nil
	default:
		return flight.Status == Cancelled, nil
	}
}
