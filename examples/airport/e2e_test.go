package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/seed84377926/millrace/edge"
	"github.com/seed84377926/millrace/embedded"
	"github.com/seed84377926/millrace/internal/brokertest"
)

// The expected numbers of the first day of January. test/airport/check.py --limit-days 1 computes the same.
const firstDay = "scheduled 842, cancelled 4, departed 838, arrived 831"

// e2ePatience bounds each wait for the program.
const e2ePatience = 2 * time.Minute

// program is a run of the airport in a process of its own.
type program struct {
	t       *testing.T
	command *exec.Cmd
	exited  chan struct{} // closed when the process has ended
	err     error         // its exit

	mu struct {
		sync.Mutex
		output  []string
		changed chan struct{} // closed and replaced with each line
	}
}

func startProgram(t *testing.T, args ...string) *program {
	t.Helper()
	p := &program{t: t, exited: make(chan struct{})}
	p.mu.changed = make(chan struct{})
	p.command = exec.Command(os.Args[0], args...)
	p.command.Env = append(os.Environ(), programVariable+"=1")
	read, write, err := os.Pipe()
	require.NoError(t, err)
	p.command.Stdout, p.command.Stderr = write, write
	require.NoError(t, p.command.Start())
	require.NoError(t, write.Close())
	go func() {
		defer close(p.exited)
		lines := bufio.NewScanner(read)
		for lines.Scan() {
			p.mu.Lock()
			p.mu.output = append(p.mu.output, lines.Text())
			close(p.mu.changed)
			p.mu.changed = make(chan struct{})
			p.mu.Unlock()
		}
		_ = read.Close()
		p.err = p.command.Wait()
	}()
	t.Cleanup(p.kill)
	return p
}

// kill ends the process without any cleanup.
func (p *program) kill() {
	_ = p.command.Process.Kill() // it may have ended already
	<-p.exited
}

// interrupt ends the process as Ctrl-C does and returns its exit error.
func (p *program) interrupt() error {
	require.NoError(p.t, p.command.Process.Signal(syscall.SIGINT))
	return p.wait()
}

// wait waits until the process ends by itself.
func (p *program) wait() error {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(e2ePatience):
		require.FailNow(p.t, "the program does not end", "%s", p.output())
	}
	return p.err
}

// waitForLine waits for a line of output that matches and returns its submatches.
func (p *program) waitForLine(pattern string) []string {
	p.t.Helper()
	wanted := regexp.MustCompile(pattern)
	patience := time.After(e2ePatience)
	for seen := 0; ; {
		p.mu.Lock()
		lines, changed := p.mu.output[seen:], p.mu.changed
		p.mu.Unlock()
		for _, line := range lines {
			if match := wanted.FindStringSubmatch(line); match != nil {
				return match
			}
		}
		seen += len(lines)
		select {
		case <-changed:
		case <-p.exited:
			require.FailNow(p.t, "the program ended without a line like "+pattern, "%v\n%s", p.err, p.output())
		case <-patience:
			require.FailNow(p.t, "the program writes no line like "+pattern, "%s", p.output())
		}
	}
}

func (p *program) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.mu.output, "\n")
}

func TestProgram_once(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "summary.json")
	p := startProgram(t, "--once", "--limit-days", "1", "--summary", file)
	require.NoError(t, p.wait(), "%s", p.output())
	require.Contains(t, p.output(), firstDay)

	data, err := os.ReadFile(file)
	require.NoError(t, err)
	var summary Summary
	require.NoError(t, json.Unmarshal(data, &summary))
	require.Equal(t, counts{842, 4, 838, 831}, summary.counts())
	require.Len(t, summary.Routes, 166)
	require.Len(t, summary.Windows, 168)
	require.Equal(t, 842+4+838+831, summary.Commands)
	require.Equal(t, time.Date(2013, 1, 2, 4, 0, 0, 0, time.UTC), summary.WorstHour.Start)
	require.Equal(t, 12, summary.WorstHour.Departures)
}

// A run is killed in the middle, twice, and continues each time: nothing is lost or duplicated. The airport that then
// stays open answers queries, and a query that sends the token of a command sees its event.
func TestProgram_killedAndStartedAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	args := []string{"--data", dir, "--listen", "127.0.0.1:0", "--limit-days", "1"}
	for _, share := range []string{"30%", "60%"} {
		p := startProgram(t, args...)
		p.waitForLine(`^loading: .* \(` + share + `\)$`)
		p.kill()
	}
	p := startProgram(t, args...)
	address := p.waitForLine(`^the airport is open: http://([^/]+)/`)[1]
	require.Equal(t, firstDay, p.waitForLine(`^scheduled .*`)[0])

	t.Run("read your writes", func(t *testing.T) { readYourWrites(t, address) })
	t.Run("queries", func(t *testing.T) { checkQueries(t, address) })
	require.NoError(t, p.interrupt(), "%s", p.output())

	// Commands that are done are not sent again.
	p = startProgram(t, args...)
	require.Equal(t, firstDay, p.waitForLine(`^scheduled .*`)[0])
	p.waitForLine("^nothing was left to load$")
	require.NoError(t, p.interrupt(), "%s", p.output())
}

// readYourWrites schedules 1,000 flights, several at once. After each command it sends a query with the command's
// token.
func readYourWrites(t *testing.T, address string) {
	const flights, clients = 1000, 50
	client := newClient(address, clients)
	defer client.Close()
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(clients)
	for i := range flights {
		group.Go(func() error {
			id := FlightID{Date: "2013-03-01", Carrier: "UA", Number: 1 + i, Origin: "JFK"}
			body := `{"occurredAt":"2013-03-01T10:00:00Z","destination":"LAX","scheduledDeparture":"2013-03-01T15:00:00Z"}`
			answer, err := client.Post(ctx, &Command{Flight: id, Name: "schedule", Body: []byte(body)})
			if err != nil {
				return err
			}
			var flight FlightView
			if err := client.Get(ctx, "/v1/flights/"+id.String(), nil, answer.Token, &flight); err != nil {
				return err
			}
			if flight.ID != id.String() || flight.Status != Scheduled {
				return fmt.Errorf("flight %s was scheduled, but a query with its token says %+v", id, flight)
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
}

// checkQueries queries for rows that exist and rows that do not.
func checkQueries(t *testing.T, address string) {
	for _, c := range []struct {
		method, path, body string
		status             int
		contains           string
	}{
		{"GET", "/v1/flights/2013-01-01.UA.1545.EWR", "", 200, `"status":"arrived"`},
		{"GET", "/v1/flights/2013-01-01.UA.1545.EWR", "", 200, `"plane":{"tailNumber":"N14228"`},
		{"GET", "/v1/flights/2013-01-01.UA.1545.EWR", "", 200, `"weather":{"origin":"EWR","hour":"2013-01-01T10:00:00Z"`},
		{"GET", "/v1/flights/2013-01-01.UA.9999.EWR", "", 404, "there is no flight"},
		{"GET", "/v1/flights/nonsense", "", 404, "there is no flight"},
		{"GET", "/v1/routes", "", 200, `{"routes":[{"route":`},
		{"GET", "/v1/routes?limit=1000", "", 200, `"meta":{"position":[{"topic":"airport.flight.events"`},
		{"GET", "/v1/routes?limit=1001", "", 400, `"parameter":"limit"`},
		{"GET", "/v1/routes?limit=ten", "", 400, `"parameter":"limit"`},
		{"GET", "/v1/routes?size=10", "", 400, `"parameter":"size"`},
		{"GET", "/v1/airports/JFK/departures?date=2013-01-01&limit=2", "", 200, `{"departures":[{"id":"2013-01-01.AA.1141.JFK"`},
		{"GET", "/v1/airports/JFK/departures?date=2013-01-01&limit=2", "", 200, `"next":"`},
		{"GET", "/v1/airports/JFK/departures?date=2012-01-01", "", 200, `{"departures":[]`},
		{"GET", "/v1/airports/JFK/departures", "", 400, `"parameter":"date"`},
		{"GET", "/v1/airports/JFK/departures?date=yesterday&limit=0", "", 400, `"parameter":"limit"`},
		{"GET", "/v1/airports/JFK/departures?date=2013-01-01&cursor=x", "", 400, `"parameter":"cursor"`},
		{"GET", "/v1/airports/NOPE/departures?date=2013-01-01", "", 404, "there is no airport"},
		{
			"GET", "/v1/carriers/UA/delays?from=2013-01-01T10:00:00Z&to=2013-01-01T11:00:00Z", "", 200,
			`{"windows":[{"start":"2013-01-01T10:00:00Z","end":"2013-01-01T11:00:00Z","carrier":"UA","airline":"United Air Lines Inc.","departures":`,
		},
		{"GET", "/v1/carriers/UA/delays?from=2013-01-02T00:00:00Z&to=2013-01-01T00:00:00Z", "", 400, `"parameter":"from"`},
		{"GET", "/v1/carriers/UA/delays?from=noon", "", 400, `"parameter":"from"`},
		{"GET", "/v1/carriers/ZZ/delays", "", 404, "there is no carrier"},
		{"GET", "/v1/nothing", "", 404, "no route"},
		{"GET", "/metrics", "", 200, `millrace_task_process_total{group="airport-`},
		{"GET", "/metrics", "", 200, `millrace_edge_request_duration_seconds_count{`},
		{"GET", "/debug/state/processors", "", 200, `"activity":`},
		{"GET", "/debug/state/topology", "", 200, `"sub_topologies":`},
		{"DELETE", "/v1/routes", "", 405, "is not allowed"},
		{"POST", "/v1/flights/2013-01-01.UA.1545.EWR/commands/fly", "{}", 404, `"commands":["arrive","cancel","depart","schedule"]`},
		{"POST", "/v1/flights/nonsense/commands/cancel", "{}", 400, "has not the form"},
		{"POST", "/v1/flights/2013-01-01.UA.1545.EWR/commands/cancel", "{", 400, "malformed-command"},
		{"POST", "/v1/flights/2013-01-01.UA.1545.EWR/commands/cancel", "{}", 422, `"pointer":"/occurredAt"`},
		{"POST", "/v1/flights/2013-01-01.UA.1545.EWR/commands/cancel", `{"occurredAt":"2013-01-01T12:00:00Z"}`, 409, "/problems/flight/has-departed"},
		{"POST", "/v1/flights/2013-01-01.UA.9999.EWR/commands/depart", `{"occurredAt":"2013-01-01T12:00:00Z"}`, 409, "/problems/flight/not-scheduled"},
		// The body is only slightly too large, so the server reads all of it. It would reset the connection of a larger
		// body, and the client might see the reset before the answer.
		{"POST", "/v1/flights/2013-01-01.UA.1545.EWR/commands/cancel", `{"occurredAt":"` + strings.Repeat("x", 1<<20) + `"}`, 413, "body-too-large"},
	} {
		status, contentType, body := request(t, c.method, "http://"+address+c.path, c.body)
		require.Equal(t, c.status, status, "%s %s: %s", c.method, c.path, body)
		require.Contains(t, body, c.contains, "%s %s", c.method, c.path)
		if status >= 400 {
			require.Equal(t, "application/problem+json", contentType, "%s %s", c.method, c.path)
		}
	}
}

func request(t *testing.T, method, url, body string) (status int, contentType, answer string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), e2ePatience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	require.NoError(t, err)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(r)
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	data, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, response.Header.Get("Content-Type"), string(data)
}

// A mistake that is found before the work begins ends the program with a message that names it and the remedy.
func TestProgram_refusesToStart(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, listener.Close()) }()
	taken := listener.Addr().String()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, []byte("x"), 0o600))
	for _, c := range []struct {
		name string
		args []string
		want []string
	}{
		{"the port is in use", []string{"--once", "--listen", taken}, []string{"address already in use", "--listen"}},
		{"no broker answers", []string{"--once", "--brokers", "127.0.0.1:1"}, []string{"no broker answers at 127.0.0.1:1", "start Kafka there"}},
		{"--once into used data", []string{"--once", "--data", filepath.Dir(file)}, []string{"is not empty", "leave --data out"}},
		{"the data directory is a file", []string{"--data", file}, []string{"data directory", "name another with --data"}},
		{"days that January does not have", []string{"--limit-days", "32"}, []string{"--limit-days is 32; give 1 to 31"}},
		{"topics of another size", []string{"--once", "--brokers", otherBroker(t)}, []string{`"airport.flight.events"`, "3 partitions"}},
		{"a word too many", []string{"load"}, []string{`unexpected argument "load"`}},
		{"an unknown flag", []string{"--fast"}, []string{"flag provided but not defined: -fast"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := startProgram(t, c.args...)
			err := p.wait()
			exit := (*exec.ExitError)(nil)
			require.ErrorAs(t, err, &exit)
			require.Equal(t, 1, exit.ExitCode())
			for _, want := range c.want {
				require.Contains(t, p.output(), want)
			}
		})
	}
}

// otherBroker starts a broker on which the topic of events has three partitions, and returns its address.
func otherBroker(t *testing.T) string {
	t.Helper()
	broker := brokertest.Start(t, embedded.Config{Dir: t.TempDir(), NoSync: true})
	server, err := edge.New(t.Context(), edge.Config{Name: "other", Listen: "127.0.0.1:0", Brokers: broker.Addrs(), Dir: t.TempDir()})
	require.NoError(t, err)
	server.Aggregate(newFlightAggregate(), edge.AggregateOptions{Path: "/{id}", Topic: eventsTopic, Partitions: 3})
	ctx, stop := context.WithCancel(t.Context())
	var running errgroup.Group
	running.Go(func() error { return server.Run(ctx) })
	client := newClient(server.Addr().String(), 1)
	defer client.Close()
	require.NoError(t, client.Get(t.Context(), "/readyz", nil, nil, new(any)))
	stop()
	require.NoError(t, running.Wait())
	return broker.Addrs()[0]
}
