package topology

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync"
)

// lateErrors are mistakes made after Build. Tasks that start later, on other goroutines, look at them.
type lateErrors struct {
	mu    sync.Mutex
	built bool
	errs  []error
}

// begin reports whether this is the first Build.
func (l *lateErrors) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := !l.built
	l.built = true
	return first
}

func (l *lateErrors) isBuilt() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.built
}

func (l *lateErrors) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.errs...)
}

// callSite returns the file, with its folder, and line of the first caller outside of this package and of the engine
// below it.
func callSite() string {
	const deepest = 32
	var callers [deepest]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers[:])])
	own := reflect.TypeFor[lateErrors]().PkgPath()
	for {
		frame, more := frames.Next()
		isOwn := strings.HasPrefix(frame.Function, own+".") || strings.HasPrefix(frame.Function, own+"/engine.")
		if !isOwn || strings.HasSuffix(frame.File, "_test.go") {
			file := frame.File
			if i := strings.LastIndexByte(file, '/'); i >= 0 {
				file = file[strings.LastIndexByte(file[:i], '/')+1:]
			}
			return fmt.Sprintf("%s:%d", file, frame.Line)
		}
		if !more {
			return "unknown place"
		}
	}
}
