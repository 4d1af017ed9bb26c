package engine

import (
	"context"
	"errors"

	"github.com/seed84377926/millrace/state"
)

// Host is a task as its operators see it: they register their parts with it while the task is wired, and use it for
// each record. It belongs to the goroutine of the task.
type Host struct {
	name   string // of the sub-topology
	cfg    TaskConfig
	topics []string // of the inputs
	arena  Arena

	origins  origins
	reaching func(n Node) []int // see Program
	behind   map[string][]Behind
	deferred bool // records wait for calls, or are held back until the commit: see [origins.usable]

	// The parts, in the order in which they were registered: downstream before upstream.
	stores           []state.Store
	holders          []Holder
	preparers        []Preparer
	renewables       []Renewable
	callers          []Caller
	wallClockAlarms  []*Alarm
	streamTimeAlarms []*Alarm
	idleAlarms       []*Alarm // by the time of the pause
	times            *times   // nil if no operator has a clock
	volatileTimes    []*KeptTime

	streamTime      Clock
	wallClock       *KeptTime // the last one that the owner gave
	pause           pause
	inFlight        int  // records that wait for calls
	unprepared      bool // not all preparers are done
	commitRequested bool
	stateErr        error // a function of the user could not read state
	broken          error // a part could not be renewed

	// The input record that is processed, or the punctuation that runs instead, and the node that last called a
	// function of the user.
	input       int
	offset      int64
	punctuation *Punctuation
	at          Node

	// While the task is wired.
	wired map[any]any
	errs  []error
	trial bool
}

func newHost(name string, cfg TaskConfig) Host {
	wallClock := new(KeptTime)
	wallClock.Set(cfg.WallClock)
	return Host{
		name: name, cfg: cfg.withDefaults(), streamTime: Clock{KeptTime: unknown("")}, wired: make(map[any]any),
		wallClock: wallClock, volatileTimes: []*KeptTime{wallClock},
	}
}

// Once calls create the first time that it is called with key while the task is wired, and returns the same result to
// all callers with that key. So nodes, or the inputs of one node, share the result.
func Once[T any](h *Host, key any, create func() T) T {
	if have, ok := h.wired[key].(T); ok {
		return have
	}
	made := create()
	h.wired[key] = made
	return made
}

// Wiring says whether the task is being wired: later no part can be registered.
func (h *Host) Wiring() bool { return h.wired != nil }

// Trial says whether the task exists for a [Trial] only.
func (h *Host) Trial() bool { return h.trial }

// Fail makes NewTask return err.
func (h *Host) Fail(err error) { h.errs = append(h.errs, err) }

// State returns the committed state of the task.
func (h *Host) State() state.Partition { return h.cfg.State }

// Budget returns the memory that stores share, nil if each store has a budget of its own.
func (h *Host) Budget() *state.Budget { return h.cfg.Budget }

// Globals returns the rows of a global table, nil if the owner has none.
func (h *Host) Globals(name string) GlobalRows {
	if h.cfg.Globals == nil {
		return nil
	}
	return h.cfg.Globals(name)
}

// Partition returns the number of the task: the number of the partitions that it reads.
func (h *Host) Partition() int32 { return h.cfg.Partition }

// Context is for functions of the user that wait. It ends when the task has to.
func (h *Host) Context() context.Context { return h.cfg.Context }

// Partitions returns the number of partitions of a topic that is written to.
func (h *Host) Partitions(topic string) (int32, error) {
	if h.cfg.Partitions == nil {
		return 0, errors.New("TaskConfig.Partitions is nil, and the topology chooses topics or partitions")
	}
	return h.cfg.Partitions(topic)
}

// Position returns the place of the input record that is processed; the topic is "" in a punctuation.
func (h *Host) Position() (topic string, offset int64) {
	if h.punctuation != nil {
		return "", -1
	}
	return h.topics[h.input], h.offset
}

// Arena returns where keys and values are encoded.
func (h *Host) Arena() *Arena { return &h.arena }

// StreamTime returns the stream time of the task, [UnknownTime] before the first record: the largest timestamp that it
// has read, or less if an origin of its records has not come so far.
func (h *Host) StreamTime() int64 { return h.streamTime.Now }

// WallClock returns the last time that the owner gave, in milliseconds since the Unix epoch.
func (h *Host) WallClock() int64 { return h.wallClock.Now }

// RequestCommit asks the owner for a commit, see [Task.CommitRequested].
func (h *Host) RequestCommit() { h.commitRequested = true }

// PassOver says whether the punctuation that runs is to be passed over: the alarm goes on with its next one.
func (h *Host) PassOver() bool { return h.cfg.PassOver != nil && h.cfg.PassOver(*h.punctuation) }

// AddCaller adds a part that uses the executor.
func (h *Host) AddCaller(c Caller) { h.callers = append(h.callers, c) }

// AddWallClockAlarm adds an alarm that rings by the wall clock, between records.
func (h *Host) AddWallClockAlarm(a *Alarm) { h.wallClockAlarms = append(h.wallClockAlarms, a) }

// AddStreamTimeAlarm adds an alarm that rings by the stream time of the task, after a record.
func (h *Host) AddStreamTimeAlarm(a *Alarm) { h.streamTimeAlarms = append(h.streamTimeAlarms, a) }

// AddStore adds a store to the task: it is flushed, committed, rolled back and closed with it.
func (h *Host) AddStore(s state.Store) { h.stores = append(h.stores, s) }

// AddHolder adds a part that holds records back.
func (h *Host) AddHolder(p Holder) { h.holders = append(h.holders, p) }

// AddPreparer adds a part that prepares itself from rows.
func (h *Host) AddPreparer(p Preparer) { h.preparers = append(h.preparers, p) }

// AddRenewable adds a part that is created again after a rollback.
func (h *Host) AddRenewable(p Renewable) { h.renewables = append(h.renewables, p) }
