// Package clientlog hands the log of franz-go clients to slog. It stands below internal/broker and embedded, which both
// open such clients.
package clientlog

import (
	"context"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kgo"
)

// New returns a logger for kgo.WithLogger that writes to logger. What franz-go calls info (each connection, each
// metadata change) is logged as debug. Its debug (each request) is left out: it would cost more than the requests.
func New(logger *slog.Logger) kgo.Logger { return clientLogger{logger} }

type clientLogger struct{ logger *slog.Logger }

// Level tells franz-go what is worth formatting.
func (l clientLogger) Level() kgo.LogLevel {
	ctx := context.Background()
	switch {
	case l.logger.Enabled(ctx, slog.LevelDebug):
		return kgo.LogLevelInfo
	case l.logger.Enabled(ctx, slog.LevelWarn):
		return kgo.LogLevelWarn
	case l.logger.Enabled(ctx, slog.LevelError):
		return kgo.LogLevelError
	default:
		return kgo.LogLevelNone
	}
}

// Log implements kgo.Logger.
func (l clientLogger) Log(level kgo.LogLevel, message string, keyvals ...any) {
	var to slog.Level
	switch level {
	case kgo.LogLevelError:
		to = slog.LevelError
	case kgo.LogLevelWarn:
		to = slog.LevelWarn
	default:
		to = slog.LevelDebug
	}
	l.logger.LogAttrs(context.Background(), to, "kafka client",
		slog.String("event", message), slog.Group("", keyvals...))
}
