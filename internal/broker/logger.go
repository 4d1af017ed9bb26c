package broker

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// clientLogger hands the log of a franz-go client to slog. What franz-go calls
// info (each connection, each metadata change) is debug for us, and its debug
// (each request) is left out: it would cost more than the requests.
type clientLogger struct{ logger *slog.Logger }

var _ kgo.Logger = clientLogger{}

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

// embeddedLogger hands the log of the embedded broker to slog, by the same
// rule as clientLogger.
type embeddedLogger struct{ logger *slog.Logger }

var _ kfake.Logger = embeddedLogger{}

// Logf implements kfake.Logger.
func (l embeddedLogger) Logf(level kfake.LogLevel, format string, args ...any) {
	var to slog.Level
	switch level {
	case kfake.LogLevelError:
		to = slog.LevelError
	case kfake.LogLevelWarn:
		to = slog.LevelWarn
		if strings.HasPrefix(format, "txn: EndTxn slow") {
			to = slog.LevelDebug // says of every commit that syncing it took milliseconds, which is what syncing takes
		}
	case kfake.LogLevelInfo:
		to = slog.LevelDebug
	default:
		return
	}
	ctx := context.Background()
	if l.logger.Enabled(ctx, to) {
		l.logger.LogAttrs(ctx, to, "embedded broker", slog.String("event", fmt.Sprintf(format, args...)))
	}
}
