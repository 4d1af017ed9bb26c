package edge

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/state"
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
