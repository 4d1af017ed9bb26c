package edge

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/gorilla/mux"
)

// methodQuery is the method QUERY: a safe request with a body.
const methodQuery = "QUERY"

// routes collects the routes of a server. Only this file and the readers of path variables know the router.
type routes struct {
	router   *mux.Router
	known    map[string]bool // method and template
	methods  []string
	mistakes []error
}

// handle adds a route. The metrics name it by the template of its path.
func (rs *routes) handle(path string, handler http.HandlerFunc, methods ...string) {
	for _, method := range methods {
		if rs.known[method+" "+path] {
			rs.mistakes = append(rs.mistakes, fmt.Errorf("%s %s is registered twice", method, path))
		}
		rs.known[method+" "+path] = true
		if !slices.Contains(rs.methods, method) {
			rs.methods = append(rs.methods, method)
		}
	}
	// Path before Methods: if a route matches the method first, the router forgets that another route matched the path.
	route := rs.router.Path(path).Methods(methods...).HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		exchangeOf(r.Context()).route = path
		handler(w, r)
	})
	if err := route.GetError(); err != nil {
		rs.mistakes = append(rs.mistakes, fmt.Errorf("route %s: %w", path, err))
	}
}

// finish returns the handler. Requests without a route get problems, too.
func (rs *routes) finish() http.Handler {
	unrouted := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		about, allow := exchangeOf(r.Context()), rs.allowed(r)
		if len(allow) == 0 {
			problem(http.StatusNotFound, "not-found", "There is nothing here", "no route matches %s", about.path).answer(about).send(w)
			return
		}
		problem(http.StatusMethodNotAllowed, "method-not-allowed", "The method is not allowed here",
			"allowed on %s: %s", about.path, strings.Join(allow, ", ")).
			withHeader("Allow", strings.Join(allow, ", ")).with("allowed", allow).answer(about).send(w)
	})
	rs.router.NotFoundHandler, rs.router.MethodNotAllowedHandler = unrouted, unrouted
	return rs.router
}

// allowed returns the methods that routes with the path of r have, sorted. The router does not report them.
func (rs *routes) allowed(r *http.Request) []string {
	var allow []string
	for _, method := range rs.methods {
		other := r.Clone(r.Context())
		other.Method = method
		var match mux.RouteMatch
		if rs.router.Match(other, &match) && match.MatchErr == nil {
			allow = append(allow, method)
		}
	}
	slices.Sort(allow)
	return allow
}
