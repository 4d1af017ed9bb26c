package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/twmb/franz-go/pkg/kfake"
)

// clusterLogger hands the log of kfake to slog, by the rule of internal/clientlog: info is logged as debug, debug is
// left out.
type clusterLogger struct{ logger *slog.Logger }

var _ kfake.Logger = clusterLogger{}

// Logf implements kfake.Logger.
func (l clusterLogger) Logf(level kfake.LogLevel, format string, args ...any) {
	var to slog.Level
	switch level {
	case kfake.LogLevelError:
		to = slog.LevelError
	case kfake.LogLevelWarn:
		to = slog.LevelWarn
		if strings.HasPrefix(format, "txn: EndTxn slow") {
			to = slog.LevelDebug // logged for every commit that took some milliseconds, as any synced commit does
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
