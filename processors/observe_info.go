package processors

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/seed84377926/millrace/internal/assignment"
	"github.com/seed84377926/millrace/processors/internal/observe"
	"github.com/seed84377926/millrace/state/pebblestore"
)

// AppInfo describes the application on this instance, for people. It marshals to JSON.
type AppInfo struct {
	Name    string      `json:"name"`
	State   string      `json:"state"`
	Paused  bool        `json:"paused,omitempty"` // all groups are
	Since   time.Time   `json:"since"`            // when the state began
	Address string      `json:"address"`          // of this instance, as the members of the groups know it
	At      time.Time   `json:"at"`               // when this was read
	Groups  []GroupInfo `json:"groups"`
	// Globals are the copies of the global tables on this instance.
	Globals []GlobalInfo `json:"globals,omitempty"`
	// Unread are topics that match a source and cannot be read, with the reasons.
	Unread map[string]string `json:"unread_topics,omitempty"`
}

// GroupInfo is one processor group.
type GroupInfo struct {
	Group      string               `json:"group"`
	Partitions int32                `json:"partitions"`
	Paused     bool                 `json:"paused,omitempty"`     // on this instance
	Members    map[string]Placement `json:"members"`              // by the address of the member, as last planned
	DiskBytes  int64                `json:"disk_bytes,omitempty"` // of the group's state on this instance
	Tasks      []TaskInfo           `json:"tasks"`                // those of this instance
	Standbys   []StandbyInfo        `json:"standbys,omitempty"`
	Leftovers  []int32              `json:"leftovers,omitempty"` // partitions whose state is on this disk and not needed
}

// Placement is what a group has planned for one of its members.
type Placement = assignment.Placement

// StandbyInfo is one copy of a task's state that this instance keeps.
type StandbyInfo struct {
	Partition int32 `json:"partition"`
	Warmup    bool  `json:"warmup"`   // the task is to move here
	CaughtUp  bool  `json:"caughtUp"` // it could take over at once
	Offset    int64 `json:"offset"`   // the last changelog offset it reflects, -1 for none
	Lag       int64 `json:"lag"`      // changelog offsets that it lacks, -1 if the end is not known yet
}

// TaskInfo is one task of this instance. Times are in seconds where the name says so.
type TaskInfo struct {
	Partition     int32              `json:"partition"`
	State         string             `json:"state"`
	Paused        bool               `json:"paused,omitempty"` // all groups are
	Since         time.Time          `json:"since"`            // when the state began
	Activity      string             `json:"activity"`         // what the task does right now
	ActivitySince time.Time          `json:"activity_since"`
	WaitsFor      string             `json:"waits_for,omitempty"`   // what keeps it from going on, if it knows
	Seconds       map[string]float64 `json:"seconds"`               // spent with each activity
	StreamTime    *time.Time         `json:"stream_time,omitempty"` // nil before the first record
	Held          []HeldInfo         `json:"held,omitempty"`        // operators whose time an upstream task holds back
	Processed     int64              `json:"processed"`
	Commits       int64              `json:"commits"`
	Commit        *CommitInfo        `json:"commit,omitempty"` // nil before the first commit
	Transactions  map[string]int64   `json:"transactions"`     // by outcome: committed, aborted, fenced, unknown
	Failures      int64              `json:"failures"`
	Damaged       int64              `json:"damaged,omitempty"` // times that the local state was damaged, dropped and restored
	LastError     *TaskError         `json:"last_error,omitempty"`
	Dropped       map[string]int64   `json:"dropped,omitempty"` // by reason
	Drops         []DropInfo         `json:"drops,omitempty"`   // by operator and reason
	Inputs        []InputInfo        `json:"inputs"`
	Outputs       []OutputInfo       `json:"outputs"`
	Restore       *RestoreProgress   `json:"restore,omitempty"`
	DiskBytes     int64              `json:"disk_bytes,omitempty"` // of the task's state, roughly; rows that are in memory only are not counted
	Stores        []StoreInfo        `json:"stores"`
	Goka          any                `json:"goka"` // goka's own statistics of the task's processor
}

// CommitInfo describes a task's commits on this instance.
type CommitInfo struct {
	Last           time.Time `json:"last"`
	AverageSeconds float64   `json:"average_seconds"`
	SlowestSeconds float64   `json:"slowest_seconds"`
	Rows           int64     `json:"rows"` // of the changelog, and rows that are only local
}

// TaskError is the error that ended an attempt of a task.
type TaskError struct {
	// Cause is one of record, fenced, inconsistent and infrastructure (docs/metrics.md).
	Cause   string    `json:"cause"`
	Message string    `json:"message"`
	At      time.Time `json:"at"`
}

// InputInfo is the position of a task in one of its inputs. Unknown offsets are -1.
type InputInfo struct {
	Topic       string  `json:"topic"`
	Position    int64   `json:"position"` // next offset to process
	End         int64   `json:"end"`      // of the committed log, as of a few seconds ago, or Position if that is further
	Uncommitted int64   `json:"uncommitted"`
	Lag         int64   `json:"lag"` // offsets, transaction markers included; -1 if End or Position is not known
	LagSeconds  float64 `json:"lag_seconds"`
	Records     int64   `json:"records"`
	Bytes       int64   `json:"bytes"`
}

// OutputInfo counts what a task has committed to a topic.
type OutputInfo struct {
	Topic   string `json:"topic"`
	Records int64  `json:"records"`
	Bytes   int64  `json:"bytes"`
}

// StoreInfo is one store of a task, as of its last commit.
type StoreInfo struct {
	Store       string  `json:"store"`
	CachedRows  int64   `json:"cached_rows"`
	CachedBytes int64   `json:"cached_bytes"`
	DirtyBytes  int64   `json:"dirty_bytes"`
	HitRatio    float64 `json:"hit_ratio"` // of the cache; 0 without lookups
	Gets        int64   `json:"gets"`
	Puts        int64   `json:"puts"`
	Deletes     int64   `json:"deletes"`
	Ranges      int64   `json:"ranges"`
	Expired     int64   `json:"expired"`
}

// Info describes the application as it is now, with goka's own statistics of every processor.
func (a *App) Info(ctx context.Context) AppInfo {
	now := time.Now()
	_, since, _ := a.states.Read(now)
	info := AppInfo{Name: a.top.Name(), State: a.State().String(), Paused: a.Paused(), Since: since, Address: a.cfg.Address, At: now}
	info.Unread = a.topics.unread()
	for _, g := range a.groups() {
		info.Groups = append(info.Groups, g.info(ctx, now))
	}
	if globals := a.globals(); globals != nil {
		info.Globals = globals.info(ctx)
	}
	return info
}

func (g *group) info(ctx context.Context, now time.Time) GroupInfo {
	info := GroupInfo{Group: g.plan().sub.Group(), Partitions: g.plan().partitions, Paused: g.paused(), Members: g.members(), Tasks: []TaskInfo{}}
	engine, measured := g.engine.(pebblestore.Measured)
	if measured {
		if m, err := engine.Metrics(); err == nil { // it is closed at the end
			info.DiskBytes = m.DiskBytes
		}
	}
	tasks := g.tasks()
	slices.SortFunc(tasks, func(x, y *task) int { return cmp.Compare(x.partition, y.partition) })
	for _, t := range tasks {
		ti := t.info(ctx, now)
		ti.Damaged = g.damages.of(t.partition)
		if measured {
			if n, err := engine.DiskUsage(t.partition); err == nil {
				ti.DiskBytes = n
			}
		}
		info.Tasks = append(info.Tasks, ti)
	}
	for _, s := range g.standbys.all() {
		info.Standbys = append(info.Standbys, s.info())
	}
	if leftovers, err := g.leftover.partitions(); err == nil { // else the engine is closed or damaged, and says so itself
		info.Leftovers = leftovers
	}
	return info
}

func (t *task) info(ctx context.Context, now time.Time) TaskInfo {
	p := t.stats.snapshot(now)
	info := TaskInfo{
		Partition: t.partition, State: taskState(t.state.Load()).String(), Since: p.stateSince,
		Activity: p.activity.String(), ActivitySince: p.activitySince, WaitsFor: t.waitReason(&p, taskState(t.state.Load())),
		Seconds:   make(map[string]float64),
		Processed: t.stats.records.Load(), Commits: t.stats.commits.Load(), Transactions: make(map[string]int64),
		LastError: p.lastError, Restore: t.stats.restore.Load(),
		Inputs: []InputInfo{}, Outputs: []OutputInfo{}, Stores: []StoreInfo{},
	}
	info.Drops, info.Dropped = dropInfo(p.drops)
	for activity := range observe.Activities {
		info.Seconds[activity.String()] = p.spent[activity].Seconds()
	}
	for o, n := range p.transactions {
		info.Transactions[outcomeNames[o]] = n
	}
	for _, n := range p.failures {
		info.Failures += n
	}
	if n := p.commit.latency.Count(); n > 0 {
		info.Commit = &CommitInfo{
			Last: p.commit.last, Rows: p.commit.rows,
			AverageSeconds: p.commit.latency.Sum() / float64(n), SlowestSeconds: p.commit.slowest.Seconds(),
		}
	}
	for i := range p.inputs {
		info.Inputs = append(info.Inputs, p.inputs[i].info(now))
	}
	for topic, flow := range p.outputs {
		info.Outputs = append(info.Outputs, OutputInfo{Topic: topic, Records: flow.records, Bytes: flow.bytes})
	}
	slices.SortFunc(info.Outputs, func(x, y OutputInfo) int { return cmp.Compare(x.Topic, y.Topic) })
	info.StreamTime = timeOf(p.streamTime)
	for _, h := range p.held {
		info.Held = append(info.Held, t.plan.heldInfo(h))
	}
	for _, s := range p.stores {
		info.Stores = append(info.Stores, StoreInfo{
			Store: s.Store, CachedRows: s.CachedRows, CachedBytes: s.CachedBytes, DirtyBytes: s.DirtyBytes,
			HitRatio: float64(s.Gets-s.Misses) / float64(max(1, s.Gets)),
			Gets:     s.Gets, Puts: s.Puts, Deletes: s.Deletes, Ranges: s.Scans, Expired: s.Expired,
		})
	}
	if processor := t.stats.processor.Load(); processor != nil {
		info.Goka = processor.Stats(ctx)
	}
	return info
}

func (in *inputStats) info(now time.Time) InputInfo {
	info := InputInfo{
		Topic: in.topic, Position: in.position, End: in.end, Uncommitted: max(0, in.high-in.end),
		Lag: -1, Records: in.records, Bytes: in.bytes,
	}
	if in.position >= 0 && in.end >= 0 {
		var age time.Duration
		info.Lag, age = in.lag(now)
		info.LagSeconds = age.Seconds()
		info.End = max(info.End, info.Position)
	}
	return info
}

// Processed returns how many input records the tasks of this instance have processed, aborted work included.
func (a *App) Processed() (n int64) {
	for _, g := range a.groups() {
		for _, t := range g.tasks() {
			n += t.stats.records.Load()
		}
	}
	return n
}
