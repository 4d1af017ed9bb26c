package conformance_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/topologytest"
)

// sessionWindows are sessions, in milliseconds.
type sessionWindows struct{ gap, grace int64 }

const forever = 1_000_000

func randomSessions(dice *rand.Rand) sessionWindows {
	return sessionWindows{gap: 1 + dice.Int64N(8), grace: dice.Int64N(15)}
}

func (w sessionWindows) String() string { return fmt.Sprintf("gap=%d grace=%d", w.gap, w.grace) }

func (w sessionWindows) topology() topology.SessionWindows {
	return topology.Sessions(millis(w.gap)).Grace(millis(w.grace)).Retention(millis(w.gap + w.grace + forever))
}

// session is one of them, with its records in the order in which they came.
type session struct {
	state.Window
	records []record
}

// sessions puts records of one key into sessions, the earliest first.
func (w sessionWindows) sessions(records []record) (all []session) {
	for _, r := range records {
		joined := session{state.Window{Start: r.Timestamp, End: r.Timestamp}, nil}
		var apart []session
		for _, s := range all {
			if s.End+w.gap < r.Timestamp || r.Timestamp+w.gap < s.Start {
				apart = append(apart, s)
				continue
			}
			joined.Start, joined.End = min(joined.Start, s.Start), max(joined.End, s.End)
			joined.records = append(joined.records, s.records...)
		}
		joined.records = append(joined.records, r)
		all = append(apart, joined)
		slices.SortFunc(all, func(a, b session) int { return int(a.Start - b.Start) })
	}
	return all
}

// updates returns the sessions of the last record's key without it and with it. A record is too late if the session it
// would be in had ended, with gap and grace, when it came; ok is false if the last one is.
func (w sessionWindows) updates(past []event) (before, after []session, ok bool) {
	key, now := past[len(past)-1].Key, int64(-1)
	var accepted []record
	for _, e := range past {
		if ok = false; e.NullKey {
			continue
		}
		if now = max(now, e.Timestamp); e.Key != key {
			continue
		}
		before = w.sessions(accepted)
		after = w.sessions(append(slices.Clone(accepted), e.record))
		if ok = sessionOf(after, e.Timestamp).End >= now-w.gap-w.grace; ok {
			accepted = append(accepted, e.record)
		}
	}
	return before, after, ok
}

// sessionOf returns the session that holds a timestamp.
func sessionOf(all []session, timestamp int64) session {
	i := slices.IndexFunc(all, func(s session) bool { return s.Start <= timestamp && timestamp <= s.End })
	return all[i]
}

// record is the result for a session: the sorted values, so that it does not matter which sessions were merged when.
func (s session) record(key string) record {
	var values string
	for _, r := range s.records {
		values = sortedAdd("", r.Value, values)
	}
	return record{Key: inWindow(key, s.Window), Value: values, Timestamp: s.End}
}

// outputs are a deletion of each session that becomes part of another, then that other.
func (w sessionWindows) outputs(past []event) (out []record) {
	before, after, ok := w.updates(past)
	if !ok {
		return nil
	}
	last := past[len(past)-1]
	now := sessionOf(after, last.Timestamp)
	for _, s := range before {
		if now.Start <= s.Start && s.End <= now.End && now.Start < now.End {
			out = append(out, record{Key: inWindow(last.Key, s.Window), NullValue: true, Timestamp: s.End})
		}
	}
	return append(out, now.record(last.Key))
}

// finals are the sessions that the last record closes, in the order of their ends, starts and keys.
func (w sessionWindows) finals(past []event) (out []record) {
	last := past[len(past)-1]
	if last.NullKey {
		return nil
	}
	before, now := nowOf(past[:len(past)-1], hasKey), nowOf(past, hasKey)
	keys := make(map[string]bool)
	for i, e := range slices.Backward(past) {
		if e.NullKey || keys[e.Key] {
			continue
		}
		keys[e.Key] = true
		sessions, after, ok := w.updates(past[:i+1])
		if ok {
			sessions = after
		}
		for _, s := range sessions {
			if closes := s.End + w.gap + w.grace; before <= closes && closes < now {
				out = append(out, s.record(e.Key))
			}
		}
	}
	slices.SortFunc(out, func(a, b record) int {
		x, y := windowOf(a.Key), windowOf(b.Key)
		return cmp.Or(cmp.Compare(x.End, y.End), cmp.Compare(x.Start, y.Start), strings.Compare(a.Key, b.Key))
	})
	return out
}

func sessionReference(dice *rand.Rand) reference {
	w := randomSessions(dice)
	return reference{
		name: "sessions " + w.String(), left: randomChain(dice, true), after: randomChain(dice, false),
		outputs: w.outputs, rows: sessionRows("w"),
		define: func(b *topology.Builder, left, _ chain) stream {
			return left.build(source(b, "a")).GroupByKey().WindowedBySessions(w.topology()).
				Aggregate("w", none, sortedAdd, sortedMerge, codecs.String).ToStream(inWindow)
		},
	}
}

func sessionCloseReference(dice *rand.Rand) reference {
	w := randomSessions(dice)
	return reference{
		name: "closed sessions " + w.String(), left: randomChain(dice, true), after: randomChain(dice, false), outputs: w.finals,
		define: func(b *topology.Builder, left, _ chain) stream {
			return left.build(source(b, "a")).GroupByKey().WindowedBySessions(w.topology()).EmitOnClose().
				Aggregate("w", none, sortedAdd, sortedMerge, codecs.String).ToStream(inWindow)
		},
	}
}

// sessionRows reads the rows of a session store.
func sessionRows(store string) func(d *topologytest.Driver) []record {
	return func(d *topologytest.Driver) (rows []record) {
		for _, row := range topologytest.Sessions(d, store, codecs.String, codecs.String) {
			rows = append(rows, record{Key: inWindow(row.Key, state.Window(row.Session)), Value: row.Value, Timestamp: row.Timestamp})
		}
		return rows
	}
}
