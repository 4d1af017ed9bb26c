//go:build unix

package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// errWrong ends a run that found something wrong, after it was printed.
var errWrong = errors.New("something is wrong")

// verdict collects the compared keys and the findings. A key counts once for each place at which it was compared.
type verdict struct {
	atLeastOnce bool // a record may count more than once
	mu          struct {
		sync.Mutex
		keys     int
		findings []finding
	}
}

// finding is one wrong key, or one event that should not have happened.
type finding struct{ where, key, what string }

// compared records that n keys were compared.
func (v *verdict) compared(n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.mu.keys += n
}

// wrong records that a key is wrong.
func (v *verdict) wrong(where, key, format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.mu.findings = append(v.mu.findings, finding{where, key, fmt.Sprintf(format, args...)})
}

// keys returns how many keys were compared.
func (v *verdict) keys() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.mu.keys
}

// findings returns the findings, sorted.
func (v *verdict) findings() []finding {
	v.mu.Lock()
	defer v.mu.Unlock()
	sorted := slices.Clone(v.mu.findings)
	slices.SortStableFunc(sorted, func(a, b finding) int {
		return cmp.Or(cmp.Compare(a.where, b.where), cmp.Compare(a.key, b.key))
	})
	return sorted
}

// print writes every finding, with what is needed to repeat the run.
func (v *verdict) print(out io.Writer, o options) {
	findings := v.findings()
	for _, f := range findings {
		fmt.Fprintf(out, "WRONG %s key %s: %s\n", f.where, f.key, f.what)
	}
	if len(findings) > 0 {
		fmt.Fprintf(out, "repeat with --seed %d --instances %d --duration %s --broker %s\n", o.seed, o.instances, o.duration, o.broker)
	}
}

// pauses are durations of one kind.
type pauses []time.Duration

// String returns number, median, 95th percentile and maximum.
func (p pauses) String() string {
	if len(p) == 0 {
		return "none"
	}
	sorted := slices.Sorted(slices.Values(p))
	at := func(percent int) time.Duration { return sorted[(len(sorted)-1)*percent/100].Round(time.Millisecond) }
	return fmt.Sprintf("n=%d median=%v p95=%v max=%v", len(sorted), at(50), at(95), at(100))
}
