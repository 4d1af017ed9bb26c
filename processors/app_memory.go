package processors

import (
	"fmt"
	"log/slog"
	"math"
	"runtime/metrics"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/state/pebblestore"
)

// DefaultMemoryBytes is the default of Config.MemoryBytes: 1 GiB.
const DefaultMemoryBytes = 1 << 30

// MemorySplit is how the memory of an instance is used, in bytes. The parts add up to Budget:
//
//	Budget ┬ Program    the program itself, stacks, connections: an eighth, at most 40 MiB
//	       ├ State      blocks and memtables of all groups together ┐ three tenths of the rest; all for State if the
//	       ├ Allocator  what malloc takes besides, as much again    ┘ program is built without cgo
//	       ├ Cache      decoded rows in the write-back caches ┐
//	       ├ Commits    rows and records on their way out     ├ the live part of Go's heap
//	       ├ Fetches    records fetched and not yet processed ┘
//	       └ Collector  what the garbage collector lets the heap grow by between two collections: as much again as is
//	                    live, with GOGC=100
//
// Every part is bounded where it is used, with two exceptions: single records larger than a megabyte, and fetched
// batches that grow more than fourfold when they are decompressed. Views and edges in the same process have budgets of
// their own.
type MemorySplit struct {
	Budget    int64 `json:"budget"`
	Program   int64 `json:"program"`
	State     int64 `json:"state"`
	Allocator int64 `json:"allocator"`
	Cache     int64 `json:"cache"`
	Commits   int64 `json:"commits"`
	Fetches   int64 `json:"fetches"`
	Collector int64 `json:"collector"`
}

// splitMemory splits a budget for a process with the given GOGC. offHeap says that the memory of the state engine is
// not the garbage collector's.
func splitMemory(budget int64, gogc float64, offHeap bool) MemorySplit {
	m := MemorySplit{Budget: budget, Program: min(40<<20, budget/8)}
	rest := budget - m.Program
	growth := 1 + gogc/100
	m.State = rest * 3 / 10
	live := int64(float64(rest-m.State) / growth)
	if offHeap {
		m.Allocator = m.State / 2
		m.State -= m.Allocator
	} else {
		m.State = int64(float64(m.State) / growth)
	}
	m.Cache = live * 4 / 10
	m.Commits = live * 3 / 10
	m.Fetches = live - m.Cache - m.Commits
	m.Collector = rest - m.State - m.Allocator - live
	return m
}

// HeapLimit returns the limit for debug.SetMemoryLimit that goes with the split: everything except the program and what
// malloc takes. The library does not set it, because the limit is the whole process's. A program that does little else
// should, so that the collector works harder before the process exceeds its budget.
func (m MemorySplit) HeapLimit() int64 {
	limit := m.Budget - m.Program - m.Allocator
	if m.Allocator > 0 {
		limit -= m.State
	}
	return limit
}

// collectorGrowth reads the present GOGC, in percent: by how much the heap may grow between two collections. If the
// collector is switched off, the program has a memory limit, which does the same.
func collectorGrowth() float64 {
	sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 100
	}
	gogc := sample[0].Value.Uint64()
	if gogc >= math.MaxInt32 {
		return 100
	}
	return float64(gogc)
}

// Memory returns how this instance's memory is split.
func (a *App) Memory() MemorySplit { return a.memory.split }

// memory is the budget of an App, how it is split, and what enforces the parts.
type memory struct {
	split   MemorySplit
	cache   *state.Budget
	state   *pebblestore.Memory // nil before Run
	fetches *broker.FetchBudget // nil before Run
	tables  int64               // for each fetcher of tables
	produce int64               // for each task
}

func newMemory(budget int64) memory {
	split := splitMemory(budget, collectorGrowth(), pebblestore.OffHeap)
	return memory{split: split, cache: state.NewBudget(split.Cache)}
}

// produceShare is the divisor of Commits that gives the part for the buffers of the producing clients. Each row of a
// commit is in the batch, in pebble's copy of the batch and, a few thousand rows at a time, in the buffer of the client
// that produces it. At most a quarter of the cache, a tenth of what is live, is dirty. So two thirds of Commits are for
// the batches and the rest is for the clients.
const produceShare = 3

// divide gives each task and each partition its part, when their numbers are known: all of them may end up on this
// instance.
func (m *memory) divide(plans []*groupPlan, globals int, logger *slog.Logger) {
	tasks, reads := 0, 0
	for _, p := range plans {
		tasks += int(p.partitions)
		reads += int(p.partitions) * len(p.inputs)
	}
	databases, followed := tasks+globals, 2*len(plans) // restores and copies
	if globals > 0 {
		followed++
	}
	m.state = pebblestore.NewMemory(m.split.State, databases)
	m.fetches = broker.NewFetchBudget(m.split.Fetches/2, reads, len(plans))
	m.tables = m.split.Fetches / 2 / int64(max(1, followed))
	m.produce = max(m.split.Commits/produceShare/int64(max(1, tasks)), broker.MinProduceBytes)

	least := pebblestore.MinMemory(databases) - m.split.State
	least = max(least, 0) + max(0, m.produce*int64(tasks)*produceShare-m.split.Commits) + max(0, broker.MinFetchBytes(reads)-m.split.Fetches/2)
	if least > 0 {
		logger.Warn("the memory budget is too small if all tasks run on this instance; it may take more then",
			slog.Int64("memory_bytes", m.split.Budget), slog.Int("tasks", tasks), slog.Int64("missing_bytes", least))
	}
}

// close releases what divide allocated. The engines keep what they use.
func (m *memory) close() {
	if m.state != nil {
		m.state.Close()
	}
}

// parts returns the parts of the split by name.
func (m MemorySplit) parts() map[string]int64 {
	return map[string]int64{
		"program": m.Program, "state": m.State, "allocator": m.Allocator, "cache": m.Cache, "commits": m.Commits,
		"fetches": m.Fetches, "collector": m.Collector,
	}
}

// String names the parts in MiB.
func (m MemorySplit) String() string {
	const mib = 1 << 20
	return fmt.Sprintf("%d MiB: program %d, state %d, allocator %d, cache %d, commits %d, fetches %d, collector %d",
		m.Budget/mib, m.Program/mib, m.State/mib, m.Allocator/mib, m.Cache/mib, m.Commits/mib, m.Fetches/mib, m.Collector/mib)
}
