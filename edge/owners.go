package edge

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/state"
)

// owners are the owners of one aggregate type on this server: one for each partition that is assigned to it. Which
// ones that are is not theirs to decide: assign is told.
type owners struct {
	cfg        ownerConfig
	partitions int32 // of the event topic
	ledgerOf   func(partition int32) ledger
	engine     state.Engine

	mu struct {
		sync.Mutex
		byPartition map[int32]*owner
	}
}

func newOwners(cfg ownerConfig, partitions int32, ledgerOf func(int32) ledger, engine state.Engine) *owners {
	set := &owners{cfg: cfg, partitions: partitions, ledgerOf: ledgerOf, engine: engine}
	set.mu.byPartition = make(map[int32]*owner)
	return set
}

// everyPartition is the assignment of a server that is alone.
func (set *owners) everyPartition() []int32 {
	all := make([]int32, set.partitions)
	for p := range all {
		all[p] = int32(p)
	}
	return all
}

// assign makes this server the owner of exactly these partitions: it stops the owners of others and waits for them,
// then starts the missing ones. Owners that somebody else fenced start again if they are still assigned. ctx is what
// the owners run in: its end aborts them. One call at a time.
func (set *owners) assign(ctx context.Context, partitions []int32) {
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
	// While it leaves an owner is still the one that answers for its partition.
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

// of returns the owner of a partition, or nil if it was never assigned to this server. An owner that has left refuses
// commands and says why.
func (set *owners) of(partition int32) *owner {
	set.mu.Lock()
	defer set.mu.Unlock()
	return set.mu.byPartition[partition]
}

// all returns the owners in the order of their partitions.
func (set *owners) all() []*owner {
	set.mu.Lock()
	defer set.mu.Unlock()
	list := make([]*owner, 0, len(set.mu.byPartition))
	for _, o := range set.mu.byPartition {
		list = append(list, o)
	}
	slices.SortFunc(list, func(a, b *owner) int { return int(a.partition - b.partition) })
	return list
}

// ready says which owners cannot take commands, and why. Nil means all can.
func (set *owners) ready() error {
	for _, o := range set.all() {
		if status, detail := o.state(); status != serving {
			return fmt.Errorf("partition %d: %s: %s", o.partition, status, detail)
		}
	}
	return nil
}

// ownerReport is what /debug/state says of an owner.
type ownerReport struct {
	Partition int32       `json:"partition"`
	Status    ownerStatus `json:"status"`
	Detail    string      `json:"detail,omitempty"`
	Queue     int         `json:"queue"`
	InFlight  int         `json:"inFlight"` // commands with a key that are not answered yet
	Commits   int64       `json:"commits"`
	LastBatch int         `json:"lastBatch"`
	Fenced    int64       `json:"fenced"`  // how often the fence was lost
	Damaged   int64       `json:"damaged"` // how often the local state was damaged and restored
}

func (set *owners) report() any {
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

// kafkaLedgers returns the ledgers of the partitions of one aggregate type. The transactional id names the cluster
// too: clusters that are bridged or share a proxy must not fence each other.
func kafkaLedgers(client *broker.Client, group, instance string) func(int32) ledger {
	return func(partition int32) ledger {
		return &kafkaLedger{
			client: client, instance: instance, topic: group + "-state", owners: group + "-owners", partition: partition,
			transactionalID: fmt.Sprintf("%s.%s.%d", client.ClusterID(), group, partition),
		}
	}
}

// stop tells all owners to finish what they have and end.
func (set *owners) stop() {
	for _, o := range set.all() {
		o.stop()
	}
}

// wait waits until all owners have ended, and reports false if ctx ends before.
func (set *owners) wait(ctx context.Context) bool {
	for _, o := range set.all() {
		select {
		case <-o.done:
		case <-ctx.Done():
			return false
		}
	}
	return true
}
