package edge

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"

	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// check is a condition of readiness.
type check struct {
	name  string
	ready func(context.Context) error
}

// checkReport is a check in the answer of /readyz.
type checkReport struct {
	Name   string `json:"name"`
	Ready  bool   `json:"ready"`
	Detail string `json:"detail,omitempty"`
}

// operational adds the routes for operators and their tools.
func (s *Server) operational(rs *routes) {
	read := []string{http.MethodGet, http.MethodHead}
	rs.handle("/livez", s.serveLive, read...)
	rs.handle("/readyz", s.serveReady, read...)
	metrics := promhttp.HandlerFor(s.config.Registry, promhttp.HandlerOpts{Registry: s.config.Registry})
	rs.handle("/metrics", metrics.ServeHTTP, read...)
	rs.handle("/debug/state", s.serveDebug, read...)
	rs.handle("/debug/state/{name}", s.serveDebug, read...)
}

// serveLive answers 200: the process is alive.
func (s *Server) serveLive(w http.ResponseWriter, r *http.Request) {
	s.plain(w, r, map[string]string{"status": "alive"})
}

// serveReady answers 200 if the server should get requests, and 503 otherwise. With ?verbose it lists every check.
func (s *Server) serveReady(w http.ResponseWriter, r *http.Request) {
	reports, ready := s.readiness(r.Context())
	if !ready {
		failing := slices.DeleteFunc(slices.Clone(reports), func(c checkReport) bool { return c.Ready })
		p := problem(http.StatusServiceUnavailable, "not-ready", "The server is not ready", "%s: %s", failing[0].Name, failing[0].Detail)
		if r.URL.Query().Has("verbose") {
			failing = reports
		}
		about := exchangeOf(r.Context())
		p.with("checks", failing).retryAfter(retrySoon).answer(about).send(w)
		return
	}
	body := map[string]any{"status": "ready"}
	if r.URL.Query().Has("verbose") {
		body["checks"] = reports
	}
	s.plain(w, r, body)
}

// readiness runs all checks.
func (s *Server) readiness(ctx context.Context) (reports []checkReport, ready bool) {
	ready = true
	add := func(name string, err error) {
		report := checkReport{Name: name, Ready: err == nil}
		if err != nil {
			report.Detail, ready = err.Error(), false
		}
		reports = append(reports, report)
	}
	var draining error
	if s.draining.Load() {
		draining = errors.New("the server is shutting down")
	}
	add("accepting", draining)
	for _, v := range s.served {
		add("aggregate "+v.typ.Name(), v.owners.ready())
	}
	for _, c := range s.checks {
		add(c.name, c.ready(ctx))
	}
	return reports, ready
}

// serveDebug shows one debug report, or all of them.
func (s *Server) serveDebug(w http.ResponseWriter, r *http.Request) {
	reports := make(map[string]func() any, len(s.debugs)+1)
	maps.Copy(reports, s.debugs)
	reports["owners"] = func() any {
		owners := make(map[string]any, len(s.served))
		for _, v := range s.served {
			owners[v.typ.Name()] = v.owners.report()
		}
		return owners
	}
	name, one := mux.Vars(r)["name"]
	if !one {
		all := make(map[string]any, len(reports))
		for name, report := range reports {
			all[name] = report()
		}
		s.plain(w, r, all)
		return
	}
	report, ok := reports[name]
	if !ok {
		about := exchangeOf(r.Context())
		NotFound("there is no report %q", name).with("reports", slices.Sorted(maps.Keys(reports))).answer(about).send(w)
		return
	}
	s.plain(w, r, report())
}

// plain answers 200 with JSON that must not be cached.
func (s *Server) plain(w http.ResponseWriter, r *http.Request, v any) {
	about := exchangeOf(r.Context())
	body, err := marshal(v)
	if err != nil {
		incident(s.log, about, err).answer(about).send(w)
		return
	}
	a := &answer{status: http.StatusOK, body: body}
	a.set("Content-Type", jsonType)
	a.set("Cache-Control", "no-store")
	a.send(w)
}
