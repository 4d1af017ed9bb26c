package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// progressAfter is the time after which the bar appears.
const progressAfter = 500 * time.Millisecond

// progressWidth is the width of the bar without its brackets.
const progressWidth = 20

// progress draws a bar of steps on a terminal. Elsewhere it draws nothing.
type progress struct {
	w     io.Writer // nil: draw nothing
	now   func() time.Time
	begun time.Time
	total int
	done  int
	drawn bool
}

// newProgress starts a bar of total steps. The caller must call end.
func newProgress(stderr io.Writer, total int) *progress {
	p := &progress{now: time.Now, begun: time.Now(), total: total}
	if file, ok := stderr.(*os.File); ok {
		if info, err := file.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			p.w = file
		}
	}
	return p
}

// step starts the next step.
func (p *progress) step(what string) {
	if p.w != nil && p.now().Sub(p.begun) >= progressAfter {
		filled := progressWidth * p.done / p.total
		fmt.Fprintf(p.w, "\r\x1b[K[%s%s] %s", strings.Repeat("#", filled), strings.Repeat("-", progressWidth-filled), what)
		p.drawn = true
	}
	p.done++
}

// end removes the bar.
func (p *progress) end() {
	if p.drawn {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
