package edge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/state/pebblestore"
)

func TestOwner_answers(t *testing.T) {
	b := newBench(t, newFakeLog()).start()

	a := b.do("a", "k1", "deposit", `{"amount":10,"at":77}`)
	require.Equal(t, 201, a.status)
	require.JSONEq(t, `{"commandId":"c-k1","aggregateId":"a","version":1,"events":[{"id":"c-k1.0","type":"Deposited","version":1}],
		"position":{"topic":"events","partition":3,"offset":0},"consistencyToken":"`+a.get("Consistency-Token")+`"}`, string(a.body))
	require.Equal(t, `"1"`, a.get("Etag"))
	require.Equal(t, "/accounts/a", a.get("Location"))
	token, err := state.ParseToken(a.get("Consistency-Token"))
	require.NoError(t, err)
	require.Equal(t, state.Offsets{{Topic: "events", Partition: 3}: 1}, token)

	a = b.do("a", "", "deposit", `{"amount":5,"mode":"twice"}`)
	require.Equal(t, 200, a.status)
	require.Empty(t, a.get("Location"))
	require.Equal(t, `"3"`, a.get("Etag"))
	require.Contains(t, string(a.body), `"position":{"topic":"events","partition":3,"offset":3}`)

	a = b.do("a", "", "deposit", `{"mode":"nothing"}`)
	require.Equal(t, 200, a.status, "nothing to do is fine")
	require.Contains(t, string(a.body), `"version":3,"events":[],"position":{"topic":"events","partition":3,"offset":3}`)
	a = b.do("b", "", "deposit", `{"mode":"nothing"}`)
	require.Equal(t, 200, a.status, "nothing was created")
	require.Contains(t, string(a.body), `"version":0,"events":[],"position":null,"consistencyToken":""`)
	require.Equal(t, `"0"`, a.get("Etag"))

	a = b.do("a", "", "withdraw", `{"amount":21}`)
	require.Equal(t, 409, a.status)
	require.Equal(t, `"3"`, a.get("Etag"))
	token, err = state.ParseToken(a.get("Consistency-Token"))
	require.NoError(t, err)
	require.Equal(t, state.Offsets{{Topic: "events", Partition: 3}: 4}, token, "of what the rejection saw")
	require.Empty(t, b.do("b", "", "withdraw", `{"amount":1}`).get("Consistency-Token"), "there is nothing to see")
	require.JSONEq(t, `{"type":"/problems/account/insufficient-funds","title":"The state forbids the command","status":409,
		"detail":"the balance is 20","instance":"/accounts/a","requestId":"r-","traceId":"","code":"insufficient-funds","data":{"balance":20}}`, string(a.body))
	require.Equal(t, 200, b.do("a", "", "deposit", `{"amount":2000000}`).status)
	a = b.do("a", "", "withdraw", `{"amount":1500000}`)
	require.Equal(t, 422, a.status)
	require.Contains(t, string(a.body), "/problems/account/too-much")

	events := b.log.committedEvents()
	require.Len(t, events, 4)
	require.Equal(t, "a", string(events[0].Key))
	require.JSONEq(t, `{"amount":10,"at":77}`, string(events[0].Value))
	require.Equal(t, int64(77), events[0].Timestamp.UnixMilli(), "the event's own time")
	require.Equal(t, int64(1_000_000), events[1].Timestamp.UnixMilli(), "the owner's clock")
	headers := map[string]string{}
	for _, h := range events[0].Headers {
		headers[h.Key] = string(h.Value)
	}
	require.Equal(t, map[string]string{
		"ce_specversion": "1.0", "ce_id": "c-k1.0", "ce_type": "Deposited", "ce_source": "/test/account", "ce_subject": "a",
		"ce_time": "1970-01-01T00:00:00.077Z", "ce_commandid": "c-k1", "ce_traceparent": "", "content-type": "application/json",
		"millrace-version": "1",
	}, headers)
}

func TestOwner_preconditions(t *testing.T) {
	b := newBench(t, newFakeLog()).start()
	try := func(match, noneMatch string) int {
		p := b.command("a", "", "deposit", `{"amount":1}`)
		h := map[string][]string{}
		if match != "" {
			h["If-Match"] = []string{match}
		}
		if noneMatch != "" {
			h["If-None-Match"] = []string{noneMatch}
		}
		var bad *Problem
		p.asked, bad = parsePrecondition(h)
		require.Nil(t, bad)
		return b.wait(b.submit(p)).status
	}
	require.Equal(t, 412, try(`*`, ""), "does not exist")
	require.Equal(t, 412, try(`"1"`, ""))
	require.Equal(t, 201, try(``, `*`))
	require.Equal(t, 412, try(``, `*`), "exists")
	require.Equal(t, 200, try(`"1"`, ""))
	require.Equal(t, 412, try(`"1"`, ""), "is at 2")
	require.Equal(t, 412, try(`W/"2"`, ""), "weak tags never match")
	require.Equal(t, 412, try(``, `"7", W/"2"`))
	require.Equal(t, 200, try(`"7" , "2"`, `"1"`))
	require.Equal(t, 200, try(`*`, ``))
}

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
	second.now = b.clock()
	second.start()
	require.Equal(t, "true", second.do("a", "0", "deposit", `{"amount":1}`).get("Idempotency-Replayed"))
	second.pass(time.Hour)
	second.do("a", "", "deposit", `{"amount":1}`)
	require.Equal(t, maxExpired+10+1, deleted(), "its index has just the one that was left")
}

func TestOwner_decidesOneAfterTheOtherInABatch(t *testing.T) {
	b := newBench(t, newFakeLog())
	// All of these are in the queue before the owner starts, so that they make one batch.
	payloads := []struct {
		name, payload string
		status        int
	}{
		{"deposit", `{"amount":10}`, 201},
		{"withdraw", `{"amount":4}`, 200},
		{"deposit", `{"mode":"panic"}`, 500},
		{"withdraw", `{"amount":7}`, 409},
		{"deposit", `{"amount":100,"mode":"panic in evolve"}`, 500},
		{"withdraw", `{"amount":7}`, 409},
		{"deposit", `{"mode":"huge"}`, 500},
		{"withdraw", `{"amount":6}`, 200},
	}
	var waiting []*pending
	for _, p := range payloads {
		waiting = append(waiting, b.submit(b.command("a", "", p.name, p.payload)))
	}
	b.start()
	for i, p := range waiting {
		require.Equal(t, payloads[i].status, b.wait(p).status, payloads[i].payload)
	}
	require.Len(t, b.log.committedEvents(), 3)
	require.Equal(t, int64(1), b.report().Commits)

	row, ok, err := b.owner.store.Get(nil, snapshotKey("a"))
	require.NoError(t, err)
	require.True(t, ok)
	s, err := decodeSnapshot(row)
	require.NoError(t, err)
	require.JSONEq(t, `{"balance":0,"notes":{"deposits":1}}`, string(s.state), "what a panicking function changed is forgotten")
}

func TestOwner_confirmsRejectionsWithACommit(t *testing.T) {
	log := newFakeLog()
	b := newBench(t, log).start()
	b.do("a", "", "deposit", `{"amount":1}`)
	before := log.rows()
	require.Equal(t, 409, b.do("a", "", "withdraw", `{"amount":2}`).status)
	after := log.rows()
	require.Len(t, after, len(before)+1)
	require.Equal(t, fenceKey, string(after[len(after)-1].Key))
	require.Equal(t, 500, b.do("a", "", "deposit", `{"mode":"panic"}`).status)
	require.Len(t, log.rows(), len(after), "a failure needs no confirmation")
}

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

func TestOwner_queueIsBounded(t *testing.T) {
	b := newBench(t, newFakeLog(), func(c *ownerConfig) { c.queueDepth = 2 })
	one, two := b.submit(b.command("a", "", "deposit", `{"amount":1}`)), b.submit(b.command("a", "k", "deposit", `{"amount":1}`))
	full := b.do("a", "full", "deposit", `{"amount":1}`)
	require.Equal(t, 503, full.status)
	require.Contains(t, string(full.body), "/problems/overloaded")
	require.Equal(t, "1", full.get("Retry-After"))
	b.start()
	require.Equal(t, 201, b.wait(one).status)
	require.Equal(t, 200, b.wait(two).status)
	require.Equal(t, 200, b.do("a", "full", "deposit", `{"amount":1}`).status, "the refused command left nothing behind")
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

func TestOwner_abandonedCommandsAreNotExecuted(t *testing.T) {
	b := newBench(t, newFakeLog())
	p := b.submit(b.command("a", "k", "deposit", `{"amount":1}`))
	require.True(t, b.owner.abandon(p))
	require.False(t, b.owner.abandon(p), "once")
	b.start()
	require.Equal(t, 201, b.do("a", "k", "deposit", `{"amount":1}`).status, "its key is free again")
	require.Len(t, b.log.committedEvents(), 1)
}

func TestOwner_stopFinishesTheQueue(t *testing.T) {
	b := newBench(t, newFakeLog())
	var waiting []*pending
	for range 10 {
		waiting = append(waiting, b.submit(b.command("a", "", "deposit", `{"amount":1}`)))
	}
	b.start()
	b.owner.stop()
	b.owner.stop()
	<-b.owner.done
	for _, p := range waiting {
		// Those that were in the queue before it began to serve are executed or refused, depending on how far it was.
		require.Contains(t, []int{200, 201, 503}, b.wait(p).status)
	}
	a := b.do("a", "", "deposit", `{"amount":1}`)
	require.Equal(t, 503, a.status)
	require.Contains(t, string(a.body), "the server is shutting down")
}

func TestOwner_abortAnswersEverybody(t *testing.T) {
	log := newFakeLog()
	reached, release := make(chan struct{}), make(chan struct{})
	b := newBench(t, log)
	log.onCommit = func([]*kgo.Record) (bool, error) {
		close(reached)
		<-release
		return true, context.Canceled
	}
	p := b.submit(b.command("a", "k", "deposit", `{"amount":1}`))
	b.start()
	<-reached
	b.abort()
	close(release)
	a := b.wait(p)
	require.Equal(t, 503, a.status)
	require.Contains(t, string(a.body), `"outcome":"unknown"`)
	require.Contains(t, string(a.body), "same Idempotency-Key")
	<-b.owner.done
}

// faultyEngine fails the Apply of one batch.
type faultyEngine struct {
	state.Engine
	fail chan struct{}
}

type faultyPartition struct {
	state.Partition
	fail chan struct{}
}

func (e faultyEngine) Open(p int32) (state.Partition, error) {
	part, err := e.Engine.Open(p)
	return faultyPartition{part, e.fail}, err
}

func (p faultyPartition) Apply(b *state.Batch) error {
	select {
	case <-p.fail:
		return errors.New("disk full")
	default:
		return p.Partition.Apply(b)
	}
}

func TestOwner_localStoreFailsAfterTheCommit(t *testing.T) {
	log := newFakeLog()
	fail := make(chan struct{}, 1)
	b := newBench(t, log)
	b.owner.engine = faultyEngine{state.NewMemory(), fail}
	b.start()
	require.Equal(t, 201, b.do("a", "", "deposit", `{"amount":10}`).status)
	fail <- struct{}{}
	require.Equal(t, 200, b.do("a", "", "withdraw", `{"amount":10}`).status, "it is committed, so it is true")
	require.Equal(t, 409, b.do("a", "", "withdraw", `{"amount":1}`).status, "the store was mended before anything else")
}

// damagedEngine answers reads with ErrCorrupt once it is told to, until the partition is dropped.
type damagedEngine struct {
	state.Engine
	damaged *atomic.Bool
	drops   *atomic.Int64
}

type damagedPartition struct {
	state.Partition
	damaged *atomic.Bool
}

func (e damagedEngine) Open(p int32) (state.Partition, error) {
	part, err := e.Engine.Open(p)
	return damagedPartition{part, e.damaged}, err
}

func (e damagedEngine) Drop(p int32) error {
	e.drops.Add(1)
	e.damaged.Store(false)
	return e.Engine.Drop(p)
}

func (p damagedPartition) Get(dst, key []byte) ([]byte, bool, error) {
	if p.damaged.Load() {
		return dst, false, fmt.Errorf("read: %w", pebblestore.ErrCorrupt)
	}
	return p.Partition.Get(dst, key)
}

// Damage that a command meets fails that command only: the owner restores its state and goes on with what was there.
func TestOwner_damagedStateIsRestored(t *testing.T) {
	b := newBench(t, newFakeLog())
	engine := damagedEngine{state.NewMemory(), new(atomic.Bool), new(atomic.Int64)}
	b.owner.engine = engine
	b.start()
	require.Equal(t, 201, b.do("a", "", "deposit", `{"amount":10}`).status)
	engine.damaged.Store(true)
	require.Equal(t, 500, b.do("a", "", "withdraw", `{"amount":4}`).status)
	require.Equal(t, 200, b.do("a", "", "withdraw", `{"amount":4}`).status)
	require.Equal(t, 409, b.do("a", "", "withdraw", `{"amount":7}`).status, "6 are left")
	require.EqualValues(t, 1, engine.drops.Load())
	require.EqualValues(t, 1, b.report().Damaged)
}

func TestOwner_dropsTheStateOfAnotherChangelog(t *testing.T) {
	log := newFakeLog()
	engine := state.NewMemory()
	first := newBench(t, log)
	first.owner.engine = engine
	first.start()
	require.Equal(t, 201, first.do("a", "", "deposit", `{"amount":10}`).status)
	first.owner.stop()
	<-first.owner.done

	same := newBench(t, log, func(c *ownerConfig) { c.claim.Instance = "same" })
	same.owner.engine = engine
	same.start()
	require.Equal(t, 200, same.do("a", "", "withdraw", `{"amount":10}`).status)
	same.owner.stop()
	<-same.owner.done

	other := newFakeLog() // the topic was deleted and created again
	other.id = 2
	anew := newBench(t, other, func(c *ownerConfig) { c.claim.Instance = "anew" })
	anew.owner.engine = engine
	anew.start()
	require.Equal(t, 201, anew.do("a", "", "deposit", `{"amount":10}`).status)
}

func TestFenced_isSaidByTheBroker(t *testing.T) {
	require.True(t, isFenced(&outcomeError{unknown: true, err: fmt.Errorf("commit: %w", broker.ErrFenced)}))
	require.False(t, isFenced(errLost))
	require.EqualError(t, &outcomeError{unknown: true, err: errLost}, "outcome unknown: connection lost")
	require.EqualError(t, &outcomeError{err: errLost}, "not committed: connection lost")
}

func TestProblem_isFlat(t *testing.T) {
	p := problem(400, "x", "Title", "detail").with("status", 200).with("zeta", 1).with("alpha", func() {}).with("beta", []int(nil))
	body := p.answer(&exchange{path: "/p", requestID: "r", trace: newTrace()}).body
	var decoded map[string]any
	require.NoError(t, json.Unmarshal(body, &decoded))
	require.InDelta(t, 400, decoded["status"], 0, "extensions do not shadow")
	require.NotContains(t, decoded, "alpha")
	require.True(t, strings.HasPrefix(string(body), `{"type":"/problems/x","title":"Title","status":400,"detail":"detail","instance":"/p"`), "%s", body)
}
