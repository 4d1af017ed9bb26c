package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// Progress shows how far a load has come. Its methods may be called by many goroutines.
type Progress interface {
	// Advance counts n more commands.
	Advance(n int)
	// Done ends the display.
	Done()
}

// newProgress draws a bar if out is a terminal, and writes a line at each tenth of the way if it is not.
func newProgress(out *os.File, total int) Progress {
	info, err := out.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return &progressLines{out: out, total: total}
	}
	return progressBar{progressbar.NewOptions(total,
		progressbar.OptionSetWriter(out),
		progressbar.OptionSetDescription("loading"),
		progressbar.OptionSetItsString("commands"),
		progressbar.OptionShowCount(),
		progressbar.OptionShowIts(),
		progressbar.OptionThrottle(100*time.Millisecond),
	)}
}

// progressBar ignores the errors of the bar: a terminal that went away is no reason to stop loading.
type progressBar struct{ bar *progressbar.ProgressBar }

func (p progressBar) Advance(n int) { _ = p.bar.Add(n) }

func (p progressBar) Done() { _ = p.bar.Exit() }

// progressLines writes plain lines, for logs.
type progressLines struct {
	out   io.Writer
	total int

	mu struct {
		sync.Mutex
		done int
	}
}

func (p *progressLines) Advance(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.tenths()
	p.mu.done += n
	if p.tenths() > before {
		_, _ = fmt.Fprintf(p.out, "loading: %d of %d commands (%d%%)\n", p.mu.done, p.total, p.mu.done*100/p.total)
	}
}

func (p *progressLines) Done() {}

func (p *progressLines) tenths() int { return p.mu.done * 10 / max(p.total, 1) }
