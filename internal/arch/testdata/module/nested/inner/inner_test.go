package inner_test

import (
	"testing"
	"time"
)

func TestSleepy(*testing.T) { time.Sleep(time.Millisecond) }
