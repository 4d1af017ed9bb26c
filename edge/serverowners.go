package edge

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/state/pebblestore"
)

// ownerBackoff is the pause of an owner after a failed takeover.
const ownerBackoff = 200 * time.Millisecond

// startOwners creates the topics and opens the stores of all aggregate types, and starts their owners. The function
// that it returns stops the owners, waits for them, and closes the stores.
func (s *Server) startOwners(ctx, ownersCtx context.Context) (func(), error) {
	if len(s.served) == 0 {
		return func() {}, nil
	}
	var specs []broker.TopicSpec
	for _, v := range s.served {
		specs = append(specs,
			broker.TopicSpec{Name: v.options.Topic, Partitions: v.options.Partitions, Kind: broker.EventLog, Replication: v.options.Replication, OwnTimes: true},
			broker.TopicSpec{Name: s.group(v) + "-state", Partitions: v.options.Partitions, Kind: broker.Changelog, Replication: v.options.Replication},
			broker.TopicSpec{Name: s.group(v) + "-owners", Partitions: v.options.Partitions, Kind: broker.Changelog, Replication: v.options.Replication})
	}
	if err := s.client.EnsureTopics(ctx, specs...); err != nil {
		return nil, fmt.Errorf("edge: %w", err)
	}

	var engines []state.Engine
	stop := func() {
		for _, v := range s.served {
			if v.owners != nil {
				v.owners.stop()
			}
		}
		for _, v := range s.served {
			if v.owners != nil {
				v.owners.wait(context.WithoutCancel(ctx))
			}
		}
		for _, engine := range engines {
			if err := engine.Close(); err != nil {
				s.log.Error("closing the local state failed; it will be rebuilt from where it is", slog.Any("error", err))
			}
		}
	}
	me := claim{Instance: newID(), Address: s.Addr().String(), Since: s.clock().UTC().Truncate(time.Millisecond)}
	partitions := 0
	for _, v := range s.served {
		partitions += int(v.options.Partitions)
	}
	memory := pebblestore.NewMemory(s.config.MemoryBytes, partitions)
	defer memory.Close() // the engines keep it open
	for _, v := range s.served {
		engine, err := s.openEngine(v.typ.Name(), memory)
		if err != nil {
			stop()
			return nil, err
		}
		engines = append(engines, engine)
		v.owners = newOwnerSet(s.ownerConfig(v, me), v.options.Partitions,
			kafkaLedgers(s.client, s.group(v), me.Instance), engine)
		v.owners.assign(ownersCtx, v.owners.everyPartition())
	}
	return stop, nil
}

// group is the prefix of the names of topics and transactional ids of an aggregate type's owners.
func (s *Server) group(v *served) string { return s.config.Name + "-" + v.typ.Name() }

func (s *Server) ownerConfig(v *served, me claim) ownerConfig {
	return ownerConfig{
		typ: v.typ, topic: v.options.Topic, changelog: s.group(v) + "-state", source: "/" + s.config.Name + "/" + v.typ.Name(), claim: me,
		maxBatch: s.config.MaxBatch, linger: s.config.Linger, queueDepth: s.config.QueueDepth,
		commitTimeout: s.config.CommitTimeout, window: s.config.IdempotencyWindow,
		backoff: ownerBackoff, clock: s.clock, steady: s.steady, log: s.log, metrics: s.metrics,
	}
}

// openEngine opens the local state of an aggregate type.
func (s *Server) openEngine(name string, memory *pebblestore.Memory) (state.Engine, error) {
	engine, err := pebblestore.Open(filepath.Join(s.config.Dir, name), pebblestore.Options{Memory: memory, Logger: s.log})
	if err != nil {
		return nil, fmt.Errorf("edge: state of aggregate %q: %w", name, err)
	}
	return engine, nil
}
