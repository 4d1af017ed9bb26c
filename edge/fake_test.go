package edge

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/seed84377926/millrace/aggregates"
	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeLog is one partition of an event topic and of its changelog, with the fence of Kafka: only the writer of the last
// takeover can commit.
type fakeLog struct {
	mu        sync.Mutex
	id        byte
	epoch     int
	changelog []*kgo.Record // committed; aborted ones leave gaps in the offsets
	events    []*kgo.Record
	next      map[string]int64 // offsets by topic
	lastClaim []byte

	// onCommit decides the fate of each transaction, outside the lock: whether it is committed, and what the writer
	// learns. Nil commits all.
	onCommit func(records []*kgo.Record) (commit bool, err error)
	// onFlush can make a flush fail.
	onFlush func() error
	// onTakeOver can make a takeover fail.
	onTakeOver func() error
}

func newFakeLog() *fakeLog { return &fakeLog{id: 1, next: make(map[string]int64)} }

func (l *fakeLog) takeOver(context.Context) (writer, error) {
	l.mu.Lock()
	hook := l.onTakeOver
	l.mu.Unlock()
	if hook != nil {
		if err := hook(); err != nil {
			return nil, err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.epoch++
	return &fakeWriter{log: l, epoch: l.epoch}, nil
}

func (l *fakeLog) restore(_ context.Context, from int64, apply func([]*kgo.Record) error) (int64, error) {
	l.mu.Lock()
	var records []*kgo.Record
	for _, r := range l.changelog {
		if r.Offset >= from {
			records = append(records, r)
		}
	}
	end := l.next["changelog"]
	l.mu.Unlock()
	for chunk := range slices.Chunk(records, 7) {
		if err := apply(chunk); err != nil {
			return 0, err
		}
	}
	return end, nil
}

func (l *fakeLog) changelogInfo() ([16]byte, int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return [16]byte{l.id}, l.next["changelog"]
}

// eventsOf returns the committed events.
func (l *fakeLog) committedEvents() []*kgo.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.events)
}

func (l *fakeLog) rows() []*kgo.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.changelog)
}

func (l *fakeLog) set(change func(*fakeLog)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(l)
}

func (l *fakeLog) claim(_ context.Context, row []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lastClaim = row
	return nil
}

func (l *fakeLog) claimed(context.Context) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lastClaim, nil
}

// fakeLedger is a fakeLog as an owner sees it.
type fakeLedger struct{ *fakeLog }

func (l fakeLedger) changelog(context.Context) ([16]byte, int64, error) {
	id, end := l.changelogInfo()
	return id, end, nil
}

type fakeWriter struct {
	log     *fakeLog
	epoch   int
	open    []*kgo.Record
	unacked []func()
	closed  bool
}

func (w *fakeWriter) Begin() error {
	w.open = nil
	return nil
}

func (w *fakeWriter) Produce(r *kgo.Record, acked func(*kgo.Record)) {
	w.open = append(w.open, r)
	w.unacked = append(w.unacked, func() {
		r.Offset = w.log.next[r.Topic]
		w.log.next[r.Topic]++
		if acked != nil {
			acked(r)
		}
	})
}

func (w *fakeWriter) Flush(context.Context) error {
	w.log.mu.Lock()
	hook := w.log.onFlush
	w.log.mu.Unlock()
	if hook != nil {
		if err := hook(); err != nil {
			return err
		}
	}
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	return w.flushLocked()
}

func (w *fakeWriter) flushLocked() error {
	if w.epoch != w.log.epoch {
		return broker.ErrFenced
	}
	for _, ack := range w.unacked {
		ack()
	}
	w.unacked = nil
	return nil
}

func (w *fakeWriter) Commit(_ context.Context, offsets state.Offsets) error {
	if len(w.open) == 0 || len(offsets) > 0 {
		return errors.New("a transaction without records, or with offsets")
	}
	w.log.mu.Lock()
	hook := w.log.onCommit
	w.log.mu.Unlock()
	commit, failure := true, error(nil)
	if hook != nil {
		commit, failure = hook(w.open)
	}
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	if err := w.flushLocked(); err != nil {
		return err
	}
	if commit {
		for _, r := range w.open {
			if r.Topic == "changelog" {
				w.log.changelog = append(w.log.changelog, r)
			} else {
				w.log.events = append(w.log.events, r)
			}
		}
	}
	w.log.next["changelog"]++ // the marker
	w.log.next["events"]++
	return failure
}

func (w *fakeWriter) Close() { w.closed = true }

// account is the aggregate of the tests. Its state has a map, to catch sharing.
type (
	account struct {
		Balance int64            `json:"balance"`
		Notes   map[string]int64 `json:"notes"`
	}
	deposit struct {
		Amount int64  `json:"amount"`
		At     int64  `json:"at"`
		Mode   string `json:"mode"`
	}
	withdraw struct {
		Amount int64 `json:"amount"`
	}
	deposited struct {
		Amount int64  `json:"amount"`
		At     int64  `json:"at"`
		Mode   string `json:"mode,omitempty"`
	}
	withdrawn struct {
		Amount int64 `json:"amount"`
	}
)

func (d deposited) EventTime() int64 {
	if d.At == 0 {
		return aggregates.NoTime
	}
	return d.At
}

func (d deposit) Validate() error {
	if d.Amount < 0 {
		return errors.Join(aggregates.Invalid("/amount", "must not be negative"), aggregates.Invalid("/mode", "is not to blame"))
	}
	return nil
}

func accountType() *aggregates.Aggregate[account] {
	return aggregates.New("account", account{Notes: map[string]int64{}}, codecs.JSON[account]()).
		Command("deposit", func(_ account, c deposit) ([]aggregates.Event, error) {
			switch c.Mode {
			case "panic":
				panic("decide")
			case "twice":
				return []aggregates.Event{deposited{Amount: c.Amount}, deposited{Amount: c.Amount}}, nil
			case "nothing":
				return nil, nil
			case "huge":
				return []aggregates.Event{deposited{Mode: string(make([]byte, maxRecordBytes))}}, nil
			}
			return []aggregates.Event{deposited(c)}, nil
		}).
		Command("withdraw", func(a account, c withdraw) ([]aggregates.Event, error) {
			if c.Amount > a.Balance {
				return nil, aggregates.Conflict("insufficient-funds", "the balance is %d", a.Balance).With("balance", a.Balance)
			}
			if c.Amount > 1_000_000 {
				return nil, aggregates.Reject("too-much", "at most a million")
			}
			return []aggregates.Event{withdrawn(c)}, nil
		}).
		On("Deposited", func(a account, e deposited) account {
			a.Notes["deposits"]++
			a.Balance += e.Amount
			if e.Mode == "panic in evolve" {
				panic("evolve")
			}
			return a
		}).
		On("Withdrawn", func(a account, e withdrawn) account { a.Balance -= e.Amount; return a })
}

// bench is one owner on a fake log.
type bench struct {
	t     *testing.T
	log   *fakeLog
	owner *owner
	now   time.Time
	up    time.Duration // does not depend on now
	mu    sync.Mutex
	abort context.CancelFunc
}

func (b *bench) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

func (b *bench) uptime() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.up
}

func (b *bench) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now, b.up = b.now.Add(d), b.up+d
}

// step sets the wall clock.
func (b *bench) step(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

// newBench prepares an owner; start runs it.
func newBench(t *testing.T, log *fakeLog, change ...func(*ownerConfig)) *bench {
	t.Helper()
	b := &bench{t: t, log: log, now: time.UnixMilli(1_000_000)}
	cfg := ownerConfig{
		typ: accountType(), topic: "events", changelog: "changelog", source: "/test/account", claim: claim{Instance: t.Name(), Address: "here"},
		maxBatch: 16, queueDepth: 16, commitTimeout: time.Minute, window: time.Hour,
		backoff: time.Millisecond, clock: b.clock, steady: newSteadyClock(b.clock, b.uptime), log: slog.New(slog.DiscardHandler), metrics: newMetrics(),
	}
	for _, c := range change {
		c(&cfg)
	}
	b.owner = newOwner(cfg, 3, fakeLedger{log}, state.NewMemory())
	return b
}

func (b *bench) start() *bench {
	ctx, abort := context.WithCancel(context.Background())
	b.abort = abort
	go b.owner.run(ctx)
	b.t.Cleanup(func() {
		b.owner.stop()
		<-b.owner.done
		abort()
	})
	return b
}

func (b *bench) report() ownerReport { return b.owner.report() }

// command makes a pending command.
func (b *bench) command(id, key, name, payload string) *pending {
	c, err := b.owner.typ.Decode(name, []byte(payload))
	require.NoError(b.t, err)
	return &pending{
		about: &exchange{requestID: "r-" + key, path: "/accounts/" + id}, id: id, location: "/accounts/" + id, key: key,
		fingerprint: fingerprint("POST", name, []byte(payload)), commandID: "c-" + key, command: c,
	}
}

// do executes one command and waits for its answer, which may be a problem.
func (b *bench) do(id, key, name, payload string) *answer {
	b.t.Helper()
	return b.wait(b.submit(b.command(id, key, name, payload)))
}

func (b *bench) submit(p *pending) *pending {
	b.t.Helper()
	if problem := b.owner.submit(p); problem != nil {
		p.failed = problem
		close(p.done)
	}
	return p
}

func (b *bench) wait(p *pending) *answer {
	b.t.Helper()
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		require.FailNow(b.t, "no answer")
	}
	if p.failed != nil {
		return p.failed.answer(p.about)
	}
	return p.answer
}

func (a *answer) get(name string) string {
	for _, f := range a.header {
		if f.name == name {
			return f.value
		}
	}
	return ""
}
