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

// recorder records the status and the size of an answer.
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

// Unwrap lets http.ResponseController reach the writer below.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// observed wraps the whole server. It identifies each request, writes the access log and the metrics, and ends panics.
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
				s.recoverPanic(rec, about, value)
			}
			s.observe(ctx, about, rec, s.clock().Sub(start))
			if value != nil && rec.status == statusAborted {
				panic(http.ErrAbortHandler) // the only way to tell the client that the answer is not whole
			}
		}()
		next.ServeHTTP(rec, r.WithContext(ctx))
	})
}

// statusAborted is the status, in the log and the metrics, of an answer that was cut off.
const statusAborted = 0

// recoverPanic turns a panic of a handler into a problem. If a part of the answer was sent already, the answer is
// marked as cut off instead.
func (s *Server) recoverPanic(rec *recorder, about *exchange, value any) {
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

// observe writes the access log and the metrics. The query string is not logged, since it may contain secrets.
func (s *Server) observe(ctx context.Context, about *exchange, rec *recorder, elapsed time.Duration) {
	route := about.route
	if route == "" {
		route = "none"
	}
	s.metrics.requests.WithLabelValues(methodLabel(about.method), route, strconv.Itoa(rec.status)).Observe(elapsed.Seconds())
	s.log.LogAttrs(ctx, slog.LevelInfo, "request",
		slog.String("method", about.method), slog.String("path", about.path), slog.String("route", route),
		slog.Int("status", rec.status), slog.Int64("bytes", rec.bytes), slog.Duration("took", elapsed),
		slog.String("requestId", about.requestID), slog.String("traceId", about.trace.traceID()))
}

// incident logs a failure whose text clients must not see, and returns a problem with its incident id.
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
