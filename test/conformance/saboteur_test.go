package conformance_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/internal/fault"
)

// saboteur overtakes tasks of the applications that run, at the places where the runtime can be broken: what a task has
// not committed by then is lost, as if its process had died there, and it must do it again.
type saboteur struct {
	mu    sync.Mutex
	dice  *rand.Rand
	sites []*site
	left  map[*site]int // how often each may still be overtaken

	strikes atomic.Int64
}

func newSaboteur(t *testing.T) *saboteur {
	s := &saboteur{dice: rand.New(rand.NewPCG(1, 1)), left: make(map[*site]int)}
	fault.Install(&fault.Faults{Point: func(string) { s.strike() }})
	t.Cleanup(func() { fault.Install(nil) })
	return s
}

func (s *saboteur) add(site *site) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sites = append(s.sites, site)
	if _, known := s.left[site]; !known {
		s.left[site] = 4
	}
}

func (s *saboteur) remove(gone *site) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, site := range s.sites {
		if site == gone {
			s.sites = append(s.sites[:i:i], s.sites[i+1:]...)
			return
		}
	}
}

// strike overtakes a random task of a random application, one time in many.
func (s *saboteur) strike() {
	const oneIn = 30
	s.mu.Lock()
	if len(s.sites) == 0 || s.dice.IntN(oneIn) > 0 {
		s.mu.Unlock()
		return
	}
	site := s.sites[s.dice.IntN(len(s.sites))]
	subs := site.top.SubTopologies()
	group, partition := subs[s.dice.IntN(len(subs))].Group(), s.dice.IntN(runtimePartitions)
	if s.left[site]--; s.left[site] < 0 {
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	// An error means that the application, or its broker, is ending.
	if overtake(context.Background(), site.brokers, group, partition) == nil {
		s.strikes.Add(1)
	}
}

// overtake fences the task of a partition, as a new owner would.
func overtake(ctx context.Context, brokers []string, group string, partition int) error {
	client, err := broker.Connect(ctx, broker.Config{Brokers: brokers})
	if err != nil {
		return err
	}
	defer client.Close()
	writer, err := broker.TakeOver(ctx, client, broker.WriterConfig{
		TransactionalID: fmt.Sprintf("%s.%s.%d", client.ClusterID(), group, partition), Group: group,
	})
	if err != nil {
		return err
	}
	writer.Close()
	return nil
}
