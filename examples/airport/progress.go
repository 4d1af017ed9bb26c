package main

import (
	"fmt"
	"io"
	"os"
	"sync"
)

// progress shows how far a load has come. Its methods may be called concurrently. Write errors are ignored: a load does
// not stop because a terminal went away.
type progress struct {
	out   io.Writer
	total int
	live  bool // out is a terminal: rewrite one line at each hundredth instead of writing a line at each tenth

	mu struct {
		sync.Mutex
		done int
	}
}

func newProgress(out *os.File, total int) *progress {
	info, err := out.Stat()
	return &progress{out: out, total: total, live: err == nil && info.Mode()&os.ModeCharDevice != 0}
}

// advance counts n more commands.
func (p *progress) advance(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.part()
	p.mu.done += n
	if p.part() == before {
		return
	}
	line := fmt.Sprintf("loading: %d of %d commands (%d%%)", p.mu.done, p.total, p.mu.done*100/p.total)
	if p.live {
		_, _ = fmt.Fprint(p.out, "\r\x1b[K"+line)
	} else {
		_, _ = fmt.Fprintln(p.out, line)
	}
}

// end leaves the last line on the terminal.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.live && p.mu.done > 0 {
		_, _ = fmt.Fprintln(p.out)
	}
}

// part returns how many hundredths or tenths of the commands are done. The caller holds mu.
func (p *progress) part() int {
	parts := 10
	if p.live {
		parts = 100
	}
	return p.mu.done * parts / max(p.total, 1)
}
