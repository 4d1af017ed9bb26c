package edge

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/seed84377926/millrace/state"
)

// ownerSet has the owners of one aggregate type on this server: one for each partition that is assigned to the server.
// The caller of assign decides which partitions these are.
type ownerSet struct {
	cfg        ownerConfig
	partitions int32 // of the event topic
	ledgerOf   func(partition int32) ledger
	engine     state.Engine

	mu struct {
		sync.Mutex
		byPartition map[int32]*owner
	}
}

func newOwnerSet(cfg ownerConfig, partitions int32, ledgerOf func(int32) ledger, engine state.Engine) *ownerSet {
	set := &ownerSet{cfg: cfg, partitions: partitions, ledgerOf: ledgerOf, engine: engine}
	set.mu.byPartition = make(map[int32]*owner)
	return set
}

// everyPartition is the assignment of a server that runs alone.
func (set *ownerSet) everyPartition() []int32 {
	all := make([]int32, set.partitions)
	for p := range all {
		all[p] = int32(p)
	}
	return all
}

// assign makes this server the owner of exactly these partitions. It stops the owners of other partitions, waits until
// they have ended, and starts the missing ones. An owner that was fenced starts again if its partition is still
// assigned. The end of ctx aborts the owners. There must be only one call of assign at a time.
func (set *ownerSet) assign(ctx context.Context, partitions []int32) {
	var leaving []*owner
	set.mu.Lock()
	for p, o := range set.mu.byPartition {
		ended := false
		select {
		case <-o.done:
			ended = true
		default:
		}
		if ended || !slices.Contains(partitions, p) {
			leaving = append(leaving, o)
		}
	}
	set.mu.Unlock()
	// An owner that is leaving stays in the set: it answers for its partition until it has ended.
	for _, o := range leaving {
		o.stop()
	}
	for _, o := range leaving {
		<-o.done
	}

	set.mu.Lock()
	defer set.mu.Unlock()
	for _, o := range leaving {
		if !slices.Contains(partitions, o.partition) {
			continue
		}
		delete(set.mu.byPartition, o.partition)
	}
	for _, p := range partitions {
		if _, ok := set.mu.byPartition[p]; ok {
			continue
		}
		o := newOwner(set.cfg, p, set.ledgerOf(p), set.engine)
		set.mu.byPartition[p] = o
		go o.run(ctx)
	}
}

// of returns the owner of a partition, or nil if the partition was never assigned to this server. An owner that has
// left stays, and refuses commands with the reason.
func (set *ownerSet) of(partition int32) *owner {
	set.mu.Lock()
	defer set.mu.Unlock()
	return set.mu.byPartition[partition]
}

// all returns the owners in the order of their partitions.
func (set *ownerSet) all() []*owner {
	set.mu.Lock()
	defer set.mu.Unlock()
	list := make([]*owner, 0, len(set.mu.byPartition))
	for _, o := range set.mu.byPartition {
		list = append(list, o)
	}
	slices.SortFunc(list, func(a, b *owner) int { return int(a.partition - b.partition) })
	return list
}

// ready returns nil if all owners can take commands. Otherwise the error names the first partition that cannot, and
// why.
func (set *ownerSet) ready() error {
	for _, o := range set.all() {
		if status, detail := o.state(); status != serving {
			return fmt.Errorf("partition %d: %s: %s", o.partition, status, detail)
		}
	}
	return nil
}

// stop tells all owners to finish their queues and end.
func (set *ownerSet) stop() {
	for _, o := range set.all() {
		o.stop()
	}
}

// wait waits until all owners have ended. It returns false if ctx ends first.
func (set *ownerSet) wait(ctx context.Context) bool {
	for _, o := range set.all() {
		select {
		case <-o.done:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// ownerReport is an owner in /debug/state.
type ownerReport struct {
	Partition int32       `json:"partition"`
	Status    ownerStatus `json:"status"`
	Detail    string      `json:"detail,omitempty"`
	Queue     int         `json:"queue"`
	InFlight  int         `json:"inFlight"` // commands with a key that have no answer yet
	Commits   int64       `json:"commits"`
	LastBatch int         `json:"lastBatch"`
	Fenced    int64       `json:"fenced"`  // how often the fence was lost
	Damaged   int64       `json:"damaged"` // how often damaged local state was dropped and restored
}

func (set *ownerSet) report() any {
	reports := []ownerReport{}
	for _, o := range set.all() {
		reports = append(reports, o.report())
	}
	return reports
}

func (o *owner) report() ownerReport {
	o.mu.Lock()
	defer o.mu.Unlock()
	return ownerReport{
		Partition: o.partition, Status: o.mu.status, Detail: o.mu.detail, Queue: len(o.queue),
		InFlight: len(o.mu.inFlight), Commits: o.mu.commits, LastBatch: o.mu.batch, Fenced: o.mu.fences, Damaged: o.mu.damaged,
	}
}
