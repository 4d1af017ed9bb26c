package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

var (
	// ErrLocked means that another process, or another engine of this process, uses the directory.
	ErrLocked = errors.New("pebblestore: state directory is in use")
	// ErrCorrupt means that files of a partition's database are damaged or missing. The partition's state is lost, but
	// its changelog is not: Drop the partition and restore it. No other partition is affected.
	ErrCorrupt = errors.New("pebblestore: state directory is corrupt")
	// ErrForeign means that the directory holds files of another program, or files in a format that this program does
	// not know. They are left as they are: only a person can decide about them.
	ErrForeign = errors.New("pebblestore: state directory is not ours")
)

// openError turns an error of pebble.Open into an error that says what to do. The directory is locked at this point and
// can be written, so an error that the operating system did not raise is damage to files. Pebble marks only some of
// these errors.
func openError(dir string, err error) error {
	pathErr, errno := (*fs.PathError)(nil), syscall.Errno(0)
	if fromSystem := errors.As(err, &pathErr) || errors.As(err, &errno); fromSystem && !isCorrupt(err) {
		return fmt.Errorf("open state directory %s: %w", dir, err)
	}
	return corrupt(dir, err)
}

// isCorrupt reports whether err says that files are damaged or missing. Pebble marks inconsistent contents. It does not
// mark a missing file that a MANIFEST names, a truncated file, or a file that the disk cannot read.
func isCorrupt(err error) bool {
	if pebble.IsCorruptionError(err) {
		return true
	}
	for _, damage := range []error{fs.ErrNotExist, io.EOF, io.ErrUnexpectedEOF, syscall.EIO} {
		if errors.Is(err, damage) {
			return true
		}
	}
	return false
}

func corrupt(dir string, err error) error {
	return fmt.Errorf("%w: %s: %w; this partition's state must be dropped and restored from its changelog",
		ErrCorrupt, dir, err)
}

// health records errors of pebble's background work, which retries forever and reports only to a listener.
type health struct {
	dir    string
	logger *slog.Logger
	stalls stalls

	mu struct {
		sync.Mutex
		err     error         // of the last flush or compaction, nil once one succeeds
		corrupt bool          // err is permanent
		failed  chan struct{} // closed while err is not nil
	}
}

func newHealth(dir string, logger *slog.Logger) *health {
	h := &health{dir: dir, logger: logger}
	h.mu.failed = make(chan struct{})
	return h
}

// check returns the error that currently prevents writes from becoming durable, or nil.
func (h *health) check() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.mu.err
}

// failed returns a channel that is closed while check returns an error.
func (h *health) failed() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.mu.failed
}

func (h *health) fail(err error) { h.record(err, isCorrupt(err)) }

func (h *health) record(err error, isCorrupt bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mu.corrupt || errors.Is(err, pebble.ErrCancelledCompaction) {
		return
	}
	first := h.mu.err == nil
	h.mu.corrupt = isCorrupt
	if isCorrupt {
		h.mu.err = corrupt(h.dir, err)
	} else {
		h.mu.err = fmt.Errorf("write state directory %s: %w; make room or repair the disk: writing goes on by itself", h.dir, err)
	}
	if first {
		close(h.mu.failed)
	}
	if first || h.mu.corrupt {
		// Pebble retries at once, so that a full disk would flood the log.
		h.logger.Error("state directory cannot be written", slog.String("dir", h.dir), slog.Any("error", err))
	}
}

func (h *health) succeed() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mu.err == nil || h.mu.corrupt {
		return
	}
	h.mu.err = nil
	h.mu.failed = make(chan struct{})
	h.logger.Info("state directory can be written again", slog.String("dir", h.dir))
}

func (h *health) listener() *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: h.fail,
		WriteStallBegin: func(pebble.WriteStallBeginInfo) { h.stalls.begin(time.Now()) },
		WriteStallEnd:   func() { h.stalls.end(time.Now()) },
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			h.record(fmt.Errorf("%s: %w", info.Path, info.Details), true)
		},
		FlushEnd: func(info pebble.FlushInfo) {
			if info.Err == nil {
				h.succeed()
			}
		},
		CompactionEnd: func(info pebble.CompactionInfo) {
			if info.Err == nil {
				h.succeed()
			}
		},
	}
}

// readError explains an error of a read.
func (h *health) readError(err error) error {
	if isCorrupt(err) {
		return corrupt(h.dir, err)
	}
	return fmt.Errorf("read state directory %s: %w", h.dir, err)
}

// logger forwards pebble's log.
type logger struct{ slog *slog.Logger }

// Infof implements pebble.Logger.
func (l logger) Infof(format string, args ...any) { l.log(slog.LevelDebug, format, args) }

// Errorf implements pebble.Logger.
func (l logger) Errorf(format string, args ...any) { l.log(slog.LevelError, format, args) }

// Fatalf implements pebble.Logger. It must not return: pebble calls it when it cannot continue without damage, for
// example when its MANIFEST cannot be written. A panic ends the process, as pebble's own logger does, and shows where.
func (l logger) Fatalf(format string, args ...any) {
	l.log(slog.LevelError, format, args)
	panic(fmt.Sprintf("pebblestore: "+format, args...))
}

func (l logger) log(level slog.Level, format string, args []any) {
	ctx := context.Background()
	if l.slog.Enabled(ctx, level) {
		l.slog.LogAttrs(ctx, level, "pebble", slog.String("message", fmt.Sprintf(format, args...)))
	}
}
