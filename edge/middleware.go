package edge

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/seed84377926/millrace/aggregates"
)

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(p)
	r.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController through.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// observed wraps the whole server: identity, access log, metrics, and the end of every panic.
func (s *Server) observed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := s.clock()
		about := newExchange(r)
		ctx := context.WithValue(r.Context(), exchangeKey{}, about)
		w.Header().Set("X-Request-Id", about.requestID)
		w.Header().Set("Traceparent", string(about.trace))
		w.Header().Set("X-Content-Type-Options", "nosniff")
		rec := &recorder{ResponseWriter: w}
		defer func() {
			value := recover()
			if value != nil {
				s.survive(rec, about, value)
			}
			s.observe(ctx, about, rec, s.clock().Sub(start))
			if value != nil && rec.status == statusAborted {
				panic(http.ErrAbortHandler) // the only way to tell the client that the answer is not whole
			}
		}()
		next.ServeHTTP(rec, r.WithContext(ctx))
	})
}

// statusAborted stands in the log and metrics for answers that were cut off.
const statusAborted = 0

// survive turns a panic of a handler into a problem, or cuts the connection if the answer has begun.
func (s *Server) survive(rec *recorder, about *exchange, value any) {
	if err, ok := value.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		rec.status = statusAborted
		return
	}
	incident := newID()
	s.log.Error("panic in a handler", slog.String("incident", incident), slog.Any("panic", value),
		slog.String("path", about.path), slog.String("requestId", about.requestID), slog.String("stack", string(debug.Stack())))
	if rec.status != 0 {
		rec.status = statusAborted
		return
	}
	internalError(incident).answer(about).send(rec)
}

// observe writes the access log and the metrics. The path is logged without its query, which may hold anything.
func (s *Server) observe(ctx context.Context, about *exchange, rec *recorder, took time.Duration) {
	route := about.route
	if route == "" {
		route = "none"
	}
	s.metrics.requests.WithLabelValues(methodLabel(about.method), route, strconv.Itoa(rec.status)).Observe(took.Seconds())
	s.log.LogAttrs(ctx, slog.LevelInfo, "request",
		slog.String("method", about.method), slog.String("path", about.path), slog.String("route", route),
		slog.Int("status", rec.status), slog.Int64("bytes", rec.bytes), slog.Duration("took", took),
		slog.String("requestId", about.requestID), slog.String("traceId", about.trace.traceID()))
}

// incident logs a failure that clients must not see the inside of, and returns the problem that names it.
func incident(log *slog.Logger, about *exchange, err error) *Problem {
	id := newID()
	attrs := []slog.Attr{
		slog.String("incident", id), slog.Any("error", err),
		slog.String("path", about.path), slog.String("requestId", about.requestID), slog.String("traceId", about.trace.traceID()),
	}
	if panicked, ok := errors.AsType[*aggregates.PanicError](err); ok {
		attrs = append(attrs, slog.String("stack", string(panicked.Stack)))
	}
	log.LogAttrs(context.Background(), slog.LevelError, "request failed", attrs...)
	return internalError(id)
}
