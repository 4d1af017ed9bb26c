//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package embedded

import (
	"errors"
	"os"
	"runtime"
)

// tryLock fails: without a lock that ends with the process, two brokers could write to one directory (EB1).
func tryLock(*os.File) error {
	return errors.New("file locks are not supported on " + runtime.GOOS)
}
