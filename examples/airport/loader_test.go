package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/state"
)

// fakeEdge executes commands like the real edge, as far as a loader can tell, and checks the loader's rules.
type fakeEdge struct {
	t        *testing.T
	inFlight int
	commands []Command
	place    map[string]int // index in commands, by key
	// fault may answer in place of the edge, before or after the command is executed (lost is then true).
	fault func(w http.ResponseWriter, key string, lost bool) (answered bool)

	mu struct {
		sync.Mutex
		requests int
		carried  map[string]bool // keys
		lowest   int             // all commands before this place are done
		flights  map[string]FlightView
	}
}

func newFakeEdge(t *testing.T, commands []Command) (*fakeEdge, *Client) {
	edge := &fakeEdge{t: t, commands: commands, place: make(map[string]int), fault: func(http.ResponseWriter, string, bool) bool { return false }}
	for i, c := range commands {
		edge.place[c.Key()] = i
	}
	edge.mu.carried, edge.mu.flights = make(map[string]bool), make(map[string]FlightView)
	server := httptest.NewServer(edge)
	t.Cleanup(server.Close)
	client := newClient(strings.TrimPrefix(server.URL, "http://"), defaultInFlight)
	t.Cleanup(client.Close)
	return edge, client
}

func (e *fakeEdge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, command, isCommand := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v1/flights/"), "/commands/")
	if !isCommand {
		e.answerFlight(w, id)
		return
	}
	key := r.Header.Get("Idempotency-Key")
	if body, err := io.ReadAll(r.Body); err != nil || !json.Valid(body) || key != id+"/"+command {
		e.t.Errorf("command %q: body %q, error %v", key, body, err)
	}
	if e.fault(w, key, false) {
		return
	}
	replayed := e.carryOut(id, command, key)
	if e.fault(w, key, true) {
		return
	}
	w.Header().Set("Consistency-Token", state.Offsets{{Topic: "events", Partition: 0}: int64(e.place[key] + 1)}.Token())
	if replayed {
		w.Header().Set("Idempotency-Replayed", "true")
	}
	w.WriteHeader(http.StatusOK)
}

func (e *fakeEdge) carryOut(id, command, key string) (replayed bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mu.requests++
	if e.mu.carried[key] {
		return true
	}
	if e.inFlight > 0 && e.place[key] >= e.mu.lowest+e.inFlight {
		e.t.Errorf("L1: command %d is sent while %d is not done", e.place[key], e.mu.lowest)
	}
	flight := e.mu.flights[id]
	legal := map[string]Status{"schedule": "", "depart": Scheduled, "cancel": Scheduled, "arrive": Departed}
	if flight.Status != legal[command] {
		e.t.Errorf("L2: %s of flight %s, which is %q", command, id, flight.Status)
	}
	flight.Status = map[string]Status{"schedule": Scheduled, "depart": Departed, "cancel": Cancelled, "arrive": Arrived}[command]
	if command == "depart" {
		flight.DepartedAt = new(at("10:00"))
	}
	if command == "arrive" {
		flight.ArrivedAt = new(at("10:00"))
	}
	e.mu.flights[id], e.mu.carried[key] = flight, true
	for e.mu.lowest < len(e.commands) && e.mu.carried[e.commands[e.mu.lowest].Key()] {
		e.mu.lowest++
	}
	return false
}

func (e *fakeEdge) answerFlight(w http.ResponseWriter, id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	flight, ok := e.mu.flights[id]
	if !ok {
		answerProblem(w, http.StatusNotFound, problem{Title: "not found"})
		return
	}
	_ = json.NewEncoder(w).Encode(flight)
}

func answerProblem(w http.ResponseWriter, status int, p problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(p)
}

// carriedOut returns the number of executed commands and the number of requests.
func (e *fakeEdge) carriedOut() (carried, requests int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.mu.carried), e.mu.requests
}

// commandsOfDays returns the commands of the first days of January.
func commandsOfDays(t *testing.T, days int) []Command {
	t.Helper()
	flights, err := readFlights()
	require.NoError(t, err)
	commands, err := commandsOf(firstDays(flights, days))
	require.NoError(t, err)
	return commands
}

func newTestLoader(client *Client, commands []Command, inFlight int) *Loader {
	return &Loader{
		Client: client, Commands: commands, InFlight: inFlight,
		Progress: &progress{out: io.Discard, total: len(commands)}, Logger: slog.New(slog.DiscardHandler),
	}
}

func TestLoader_keepsTheOrder(t *testing.T) {
	commands := commandsOfDays(t, 1)
	edge, client := newFakeEdge(t, commands)
	edge.inFlight = 16

	report, err := newTestLoader(client, commands, 16).Load(t.Context())
	require.NoError(t, err)
	carried, requests := edge.carriedOut()
	require.Equal(t, len(commands), carried)
	require.Equal(t, len(commands), requests)
	require.Equal(t, len(commands), report.Accepted)
	require.Zero(t, report.Skipped+report.Repeated+report.Refused)
	require.Equal(t, state.Offsets{{Topic: "events", Partition: 0}: int64(len(commands))}, report.Token)
}

func TestLoader_triesAgain(t *testing.T) {
	commands := commandsOfDays(t, 1)[:200]
	edge, client := newFakeEdge(t, commands)
	var tries sync.Map
	first := func(kind, key string) bool {
		_, again := tries.LoadOrStore(kind+key, true)
		return !again
	}
	edge.fault = func(w http.ResponseWriter, key string, lost bool) bool {
		switch place := edge.place[key]; {
		case !lost && place%7 == 0 && first("refused", key):
			answerProblem(w, http.StatusServiceUnavailable, problem{Title: "not ready"})
			return true
		case lost && place%5 == 0 && first("cut", key):
			panic(http.ErrAbortHandler) // the command is executed, but the answer never arrives
		case !lost && place%5 == 0 && first("busy", key):
			answerProblem(w, http.StatusConflict, problem{Type: "/problems/idempotency-key-in-flight"})
			return true
		}
		return false
	}

	report, err := newTestLoader(client, commands, 0).Load(t.Context())
	require.NoError(t, err)
	carried, _ := edge.carriedOut()
	require.Equal(t, len(commands), carried)
	require.Equal(t, 40, report.Repeated)
	require.Equal(t, 160, report.Accepted)
}

func TestLoader_resumes(t *testing.T) {
	commands := commandsOfDays(t, 2)
	edge, client := newFakeEdge(t, commands)
	loader := newTestLoader(client, commands, 16)
	loader.Checkpoint = &Checkpoint{path: filepath.Join(t.TempDir(), "checkpoint.json")}

	ctx, kill := context.WithCancel(t.Context())
	edge.fault = func(_ http.ResponseWriter, key string, lost bool) bool {
		if lost && edge.place[key] == 3*checkpointEvery/2 {
			kill()
		}
		return false
	}
	_, err := loader.Load(ctx)
	require.ErrorIs(t, err, context.Canceled)

	report, err := loader.Load(t.Context())
	require.NoError(t, err)
	carried, _ := edge.carriedOut()
	require.Equal(t, len(commands), carried)
	require.Equal(t, checkpointEvery-16+1, report.Skipped)
	require.Positive(t, report.Repeated)
	require.Equal(t, len(commands), report.Skipped+report.Repeated+report.Accepted)

	// A finished load has nothing left to do and still knows its token.
	token := report.Token
	report, err = loader.Load(t.Context())
	require.NoError(t, err)
	require.Equal(t, len(commands), report.Skipped)
	require.Equal(t, token, report.Token)
}

func TestLoader_distrustsACheckpointThatTheEdgeDoesNotKnow(t *testing.T) {
	commands := commandsOfDays(t, 1)[:100]
	edge, client := newFakeEdge(t, commands)
	loader := newTestLoader(client, commands, 16)
	loader.Checkpoint = &Checkpoint{path: filepath.Join(t.TempDir(), "checkpoint.json")}
	require.NoError(t, loader.Checkpoint.Save(len(commands), len(commands), nil))

	report, err := loader.Load(t.Context())
	require.NoError(t, err)
	require.Zero(t, report.Skipped)
	carried, _ := edge.carriedOut()
	require.Equal(t, len(commands), carried)
}

func TestLoader_understandsRejections(t *testing.T) {
	commands := commandsOfDays(t, 1)[:3]
	edge, client := newFakeEdge(t, commands)
	edge.fault = func(w http.ResponseWriter, key string, _ bool) bool {
		switch edge.place[key] {
		case 0:
			answerProblem(w, http.StatusConflict, problem{Title: "rule broken", Code: "already-scheduled"})
			return true
		case 1:
			answerProblem(w, http.StatusConflict, problem{Title: "rule broken", Code: "is-cancelled"})
			return true
		}
		return false
	}
	report, err := newTestLoader(client, commands, 0).Load(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, report.Repeated)
	require.Equal(t, 1, report.Refused)
	require.Equal(t, 1, report.Accepted)
}

func TestLoader_stopsAtAMistake(t *testing.T) {
	commands := commandsOfDays(t, 1)
	edge, client := newFakeEdge(t, commands)
	edge.fault = func(w http.ResponseWriter, key string, _ bool) bool {
		if edge.place[key] != 20 {
			return false
		}
		answerProblem(w, http.StatusBadRequest, problem{Title: "malformed command", Detail: "not JSON"})
		return true
	}
	_, err := newTestLoader(client, commands, 16).Load(t.Context())
	require.ErrorContains(t, err, fmt.Sprintf("command %s of flight %s: 400 malformed command: not JSON", commands[20].Name, commands[20].Flight))
	carried, _ := edge.carriedOut()
	require.LessOrEqual(t, carried, 20+16)
}

func TestCheckpoint(t *testing.T) {
	checkpoint := &Checkpoint{path: filepath.Join(t.TempDir(), "checkpoint.json")}
	done, token := checkpoint.Load(10)
	require.Zero(t, done)
	require.Empty(t, token)

	want := state.Offsets{{Topic: "events", Partition: 3}: 42}
	require.NoError(t, checkpoint.Save(10, 7, want))
	done, token = checkpoint.Load(10)
	require.Equal(t, 7, done)
	require.Equal(t, want, token)

	done, _ = checkpoint.Load(11) // of another load
	require.Zero(t, done)
	for _, broken := range []string{"", "{", `{"commands":10,"done":11}`, `{"commands":10,"done":-1}`, `{"commands":10,"done":5,"token":"!"}`} {
		require.NoError(t, os.WriteFile(checkpoint.path, []byte(broken), 0o600))
		done, _ = checkpoint.Load(10)
		require.Zero(t, done, "%s", broken)
	}

	var none *Checkpoint
	require.NoError(t, none.Save(10, 7, want))
	done, _ = none.Load(10)
	require.Zero(t, done)
}
