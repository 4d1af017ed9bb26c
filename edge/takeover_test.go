package edge

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/internal/broker"
)

// lost is a broker that does not answer.
var errLost = errors.New("connection lost")

func TestOwner_unknownOutcome(t *testing.T) {
	for name, committed := range map[string]bool{"committed": true, "not committed": false} {
		t.Run(name, func(t *testing.T) {
			log := newFakeLog()
			b := newBench(t, log)
			keyed := b.submit(b.command("a", "k", "deposit", `{"amount":10}`))
			keyless := b.submit(b.command("b", "", "deposit", `{"amount":10}`))
			log.onCommit = func([]*kgo.Record) (bool, error) {
				log.set(func(l *fakeLog) { l.onCommit = nil })
				return committed, errLost
			}
			b.start()
			a, unknown := b.wait(keyed), b.wait(keyless)
			require.Equal(t, 503, unknown.status)
			require.Contains(t, string(unknown.body), `"outcome":"unknown"`)
			require.Equal(t, "1", unknown.get("Retry-After"))
			if committed {
				require.Equal(t, 201, a.status, "%s", a.body)
				require.Equal(t, `"1"`, a.get("Etag"))
				require.Len(t, log.committedEvents(), 2)
			} else {
				require.Equal(t, 503, a.status)
				require.Contains(t, string(a.body), `"outcome":"not-executed"`)
				require.Empty(t, log.committedEvents())
			}
			again := b.do("a", "k", "deposit", `{"amount":10}`)
			require.Equal(t, 201, again.status)
			require.Equal(t, committed, again.get("Idempotency-Replayed") == "true")
			status, _ := b.owner.state()
			require.Equal(t, serving, status)
		})
	}
}

func TestOwner_definiteFailure(t *testing.T) {
	log := newFakeLog()
	b := newBench(t, log).start()
	b.do("a", "", "deposit", `{"amount":10}`)
	log.set(func(l *fakeLog) {
		l.onFlush = func() error {
			log.set(func(l *fakeLog) { l.onFlush = nil })
			return errLost
		}
	})
	a := b.do("a", "k", "withdraw", `{"amount":10}`)
	require.Equal(t, 503, a.status)
	require.Contains(t, string(a.body), `"outcome":"not-executed"`)
	require.Equal(t, 200, b.do("a", "k", "withdraw", `{"amount":10}`).status, "the overlay was dropped")
}

func TestOwner_zombieAcknowledgesNothing(t *testing.T) {
	log := newFakeLog()
	first := newBench(t, log, func(c *ownerConfig) { c.claim.Instance = "first" }).start()
	require.Equal(t, 201, first.do("a", "k", "deposit", `{"amount":10}`).status)
	second := newBench(t, log, func(c *ownerConfig) { c.claim.Instance = "second" }).start()
	require.Equal(t, 200, second.do("a", "", "withdraw", `{"amount":10}`).status)

	// The first still believes that the balance is 10.
	for _, p := range []*pending{
		first.submit(first.command("a", "", "withdraw", `{"amount":11}`)), // a rejection is an answer too
		first.submit(first.command("a", "", "withdraw", `{"amount":1}`)),
		first.submit(first.command("a", "k2", "deposit", `{"amount":1}`)),
	} {
		require.Equal(t, 503, first.wait(p).status)
	}
	<-first.owner.done
	status, detail := first.owner.state()
	require.Equal(t, fenced, status)
	require.Contains(t, detail, "instance second at here owns partition 3")
	a := first.do("a", "k2", "deposit", `{"amount":1}`)
	require.Equal(t, 503, a.status)
	require.Contains(t, string(a.body), "the command was not executed")

	require.Equal(t, 409, second.do("a", "", "withdraw", `{"amount":1}`).status)
	require.Len(t, log.committedEvents(), 2)
}

func TestOwner_fencedByATimeoutTakesOverAgain(t *testing.T) {
	log := newFakeLog()
	b := newBench(t, log).start()
	require.Equal(t, 201, b.do("a", "", "deposit", `{"amount":10}`).status)
	log.set(func(l *fakeLog) { l.epoch++ }) // as the broker does when a transaction is too old
	a := b.do("a", "", "deposit", `{"amount":10}`)
	require.Equal(t, 503, a.status)
	require.Equal(t, 200, b.do("a", "", "deposit", `{"amount":10}`).status)
	require.Len(t, log.committedEvents(), 2)
	require.Equal(t, int64(1), b.report().Fenced)
}

func TestOwner_retriesTakeovers(t *testing.T) {
	log := newFakeLog()
	failures := 3
	log.onTakeOver = func() error {
		if failures--; failures >= 0 {
			return errLost
		}
		return nil
	}
	b := newBench(t, log).start()
	require.Equal(t, 201, b.do("a", "", "deposit", `{"amount":10}`).status, "the command waits in the queue meanwhile")
}

// Whatever the error is that a zombie meets, it finds out that it is one: the claim was there before the fence.
func TestOwner_stepsDownAfterAnyFailure(t *testing.T) {
	log := newFakeLog()
	b := newBench(t, log).start()
	require.Equal(t, 201, b.do("a", "", "deposit", `{"amount":10}`).status)
	log.set(func(l *fakeLog) {
		l.onCommit = func([]*kgo.Record) (bool, error) { return false, errors.New("INVALID_TXN_STATE") }
	})
	row, err := claim{Instance: "intruder", Address: "there"}.row()
	require.NoError(t, err)
	require.NoError(t, log.claim(t.Context(), row))
	require.Equal(t, 503, b.do("a", "", "deposit", `{"amount":10}`).status)
	<-b.owner.done
	status, detail := b.owner.state()
	require.Equal(t, fenced, status)
	require.Contains(t, detail, "intruder at there")
}

func TestFenced_isSaidByTheBroker(t *testing.T) {
	require.True(t, isFenced(&outcomeError{unknown: true, err: fmt.Errorf("commit: %w", broker.ErrFenced)}))
	require.False(t, isFenced(errLost))
	require.EqualError(t, &outcomeError{unknown: true, err: errLost}, "outcome unknown: connection lost")
	require.EqualError(t, &outcomeError{err: errLost}, "not committed: connection lost")
}
