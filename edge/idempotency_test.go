package edge

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOwner_replaysAnswersByteForByte(t *testing.T) {
	b := newBench(t, newFakeLog()).start()
	first := b.do("a", "k", "deposit", `{"amount":10}`)
	rejected := b.do("a", "r", "withdraw", `{"amount":11}`)
	require.Equal(t, 409, rejected.status)
	rows := len(b.log.rows())

	again := b.do("a", "k", "deposit", `{"amount":10}`)
	require.Equal(t, first.status, again.status)
	require.Equal(t, string(first.body), string(again.body))
	require.Equal(t, append(first.header, field{"Idempotency-Replayed", "true"}), again.header)

	require.Equal(t, 200, b.do("a", "", "deposit", `{"amount":10}`).status)
	again = b.do("a", "r", "withdraw", `{"amount":11}`)
	require.Equal(t, string(rejected.body), string(again.body), "although the state would allow it by now")

	require.Equal(t, 422, b.do("a", "k", "deposit", `{"amount":11}`).status, "another body")
	require.Equal(t, 201, b.do("b", "k", "deposit", `{"amount":10}`).status, "the key of another aggregate")
	require.Len(t, b.log.committedEvents(), 3)
	require.Len(t, b.log.rows(), rows+1+2, "replays write nothing")
}

func TestOwner_forgetsResultsAfterTheWindow(t *testing.T) {
	log := newFakeLog()
	b := newBench(t, log, func(c *ownerConfig) { c.window = time.Minute }).start()
	for i := range maxExpired + 10 {
		b.do("a", fmt.Sprint(i), "deposit", `{"amount":1}`)
	}
	b.pass(time.Minute)
	require.Equal(t, "true", b.do("a", "0", "deposit", `{"amount":1}`).get("Idempotency-Replayed"), "at the end of the window")
	b.pass(time.Millisecond)
	deleted := func() (n int) {
		for _, r := range log.rows() {
			if r.Value == nil {
				n++
			}
		}
		return n
	}
	require.Equal(t, 0, deleted())
	require.Empty(t, b.do("a", "0", "deposit", `{"amount":1}`).get("Idempotency-Replayed"), "executed anew")
	require.Equal(t, maxExpired, deleted(), "a bounded number with each commit")
	b.do("a", "", "deposit", `{"amount":1}`)
	require.Equal(t, maxExpired+10, deleted())
	require.Equal(t, "true", b.do("a", "0", "deposit", `{"amount":1}`).get("Idempotency-Replayed"), "the new answer is kept")

	// An owner that restores all of this knows the same.
	second := newBench(t, log, func(c *ownerConfig) { c.window, c.claim.Instance = time.Minute, "second" })
	second.pass(b.clock().Sub(second.clock()))
	second.start()
	require.Equal(t, "true", second.do("a", "0", "deposit", `{"amount":1}`).get("Idempotency-Replayed"))
	second.pass(time.Hour)
	second.do("a", "", "deposit", `{"amount":1}`)
	require.Equal(t, maxExpired+10+1, deleted(), "its index has just the one that was left")
}

// A clock that was set forward by a day made all answers expire, and commands that clients repeated were executed
// twice.
func TestOwner_remembersResultsWhenTheClockIsSet(t *testing.T) {
	for _, step := range []time.Duration{time.Hour, 24 * time.Hour, -time.Hour, -24 * time.Hour} {
		t.Run(step.String(), func(t *testing.T) {
			b := newBench(t, newFakeLog(), func(c *ownerConfig) { c.window = time.Minute }).start()
			b.do("a", "k", "deposit", `{"amount":1}`)
			b.step(step)
			b.do("a", "l", "deposit", `{"amount":1}`)
			b.pass(29 * time.Second)
			b.do("a", "", "deposit", `{"amount":1}`)
			for _, key := range []string{"k", "l"} {
				require.Equal(t, "true", b.do("a", key, "deposit", `{"amount":1}`).get("Idempotency-Replayed"), key)
			}
			b.step(-step)
			b.do("a", "", "deposit", `{"amount":1}`)
			for _, key := range []string{"k", "l"} {
				require.Equal(t, "true", b.do("a", key, "deposit", `{"amount":1}`).get("Idempotency-Replayed"), key)
			}
		})
	}
}

func TestOwner_keyInFlight(t *testing.T) {
	b := newBench(t, newFakeLog())
	first := b.submit(b.command("a", "k", "deposit", `{"amount":1}`))
	same := b.do("a", "k", "deposit", `{"amount":1}`)
	require.Equal(t, 409, same.status)
	require.Contains(t, string(same.body), "/problems/idempotency-key-in-flight")
	require.Equal(t, 422, b.do("a", "k", "deposit", `{"amount":2}`).status)
	b.start()
	require.Equal(t, 201, b.wait(first).status)
	require.Equal(t, "true", b.do("a", "k", "deposit", `{"amount":1}`).get("Idempotency-Replayed"))
}
