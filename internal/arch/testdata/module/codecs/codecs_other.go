//go:build plan9

package codecs

import "time"

var started = time.Now()
