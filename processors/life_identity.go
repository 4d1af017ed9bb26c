package processors

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
)

// identityKey is the key of the runtime's row that says which topics the state was made from, and by which program.
const identityKey = "\x00identity"

// identity says which topics a task's state was made from, and which program wrote it. Offsets only mean something for
// the topic that they were counted in: a topic that was deleted and created again has another id and other records. The
// identity is written with the first commit that changes it.
type identity struct {
	// Table is the id of the changelog, Inputs are the ids of the input topics by name; hexadecimal.
	Table  string            `json:"table"`
	Inputs map[string]string `json:"inputs"`
	// Topology is the fingerprint of the sub-topology, Stores the kind of each store by name.
	Topology string            `json:"topology"`
	Stores   map[string]string `json:"stores"`
	// Owner is the address of the instance that wrote the row.
	Owner string `json:"owner"`
}

// pendingIdentity is an identity that has yet to be committed.
type pendingIdentity struct {
	data []byte
	// dropsInputs says that it has fewer inputs than the previous identity. It must then be written even if no record
	// comes: a topic that is created later with the name of a deleted topic is a new topic.
	dropsInputs bool
}

// add puts the row into the commit under way.
func (p *pendingIdentity) add(batch *state.Batch) {
	if p.data != nil {
		batch.Set([]byte(identityKey), p.data)
	}
}

func (p *pendingIdentity) written() { *p = pendingIdentity{} }

// checkIdentity compares the identity in the state with the identity of the present topics and of this program. It
// returns what the next commit must write.
func (l *life) checkIdentity(now identity) (was identity, pending pendingIdentity, err error) {
	data, ok, err := l.table.part.Get(nil, []byte(identityKey))
	if err != nil {
		return was, pending, fmt.Errorf("read identity: %w", err)
	}
	if ok {
		if err := json.Unmarshal(data, &was); err != nil {
			return was, pending, fmt.Errorf("read identity: %w", err)
		}
		if err := was.conflict(now, l.plan.sub); err != nil {
			return was, pending, &inconsistentError{err}
		}
		if was.equal(now) {
			return was, pending, nil
		}
		for topic := range was.Inputs {
			_, kept := now.Inputs[topic]
			pending.dropsInputs = pending.dropsInputs || !kept
		}
	}
	if pending.data, err = json.Marshal(now); err != nil {
		return was, pending, fmt.Errorf("write identity: %w", err)
	}
	return was, pending, nil
}

// adoptIdentity is checkIdentity for the state that the life is about to work on. It warns if another program wrote the
// state.
func (l *life) adoptIdentity(now identity) (pendingIdentity, error) {
	was, pending, err := l.checkIdentity(now)
	if err == nil && was.Topology != "" && was.Topology != now.Topology {
		l.logger.Warn("the state was last written by another topology: another version of this application, or another application "+
			"with the same name, which must be renamed", slog.String("written_by", was.Owner),
			slog.String("its_topology", was.Topology), slog.String("this_topology", now.Topology))
	}
	return pending, err
}

// currentIdentity returns the identity of the present topics and of this program.
func (l *life) currentIdentity(ctx context.Context) (identity, error) {
	sub := l.plan.sub
	ids, err := l.inst.client.TopicIDs(ctx, append(l.plan.topics(), sub.TableTopic())...)
	if err != nil {
		return identity{}, err
	}
	if _, ok := ids[sub.TableTopic()]; !ok {
		return identity{}, fmt.Errorf("%w: %s, the changelog of group %s, was deleted; stop the application, delete the state directory, "+
			"and reset the offsets of the group to build the state anew", broker.ErrTopicMissing, sub.TableTopic(), sub.Group())
	}
	for _, topic := range l.plan.topics() {
		if _, ok := ids[topic]; !ok {
			return identity{}, fmt.Errorf("%w: %s, an input of group %s, was deleted; a topic that is created in its place is another one: "+
				"the application cannot go on with this state", broker.ErrTopicMissing, topic, sub.Group())
		}
	}
	id := func(topic string) string {
		id := ids[topic]
		return hex.EncodeToString(id[:])
	}
	now := identity{
		Table: id(sub.TableTopic()), Inputs: make(map[string]string), Topology: sub.Fingerprint(), Stores: make(map[string]string),
		Owner: l.inst.cfg.Address,
	}
	for _, topic := range l.plan.topics() {
		now.Inputs[topic] = id(topic)
	}
	for _, store := range sub.Stores() {
		now.Stores[store.Name] = store.Kind.String()
	}
	return now, nil
}

// equal ignores the owner: a takeover alone is no reason to write.
func (was identity) equal(now identity) bool {
	return was.Table == now.Table && was.Topology == now.Topology &&
		maps.Equal(was.Inputs, now.Inputs) && maps.Equal(was.Stores, now.Stores)
}

// conflict says why this program cannot go on with the state, nil if it can.
func (was identity) conflict(now identity, sub *topology.SubTopology) error {
	shared := false
	for topic := range was.Inputs {
		_, ok := now.Inputs[topic]
		shared = shared || ok || sub.Matches(topic) // all topics that match may be gone by now
	}
	if !shared {
		return fmt.Errorf("the state of group %s was made from %s by %s, and this application reads %s: two applications have the same name; rename one of them",
			sub.Group(), names(was.Inputs), was.Owner, names(now.Inputs))
	}
	for store, kind := range now.Stores {
		if before, ok := was.Stores[store]; ok && before != kind {
			return fmt.Errorf("store %q of group %s was written as %s by %s, and this application has it as %s: "+
				"two applications have the same name, or the store changed; rename one of the applications, or the store",
				store, sub.Group(), before, was.Owner, kind)
		}
	}
	if was.Table != now.Table {
		return fmt.Errorf("topic %s is not the changelog that the state of group %s was written to: it was deleted and created again, "+
			"or this is another cluster; delete the state directory, and reset the offsets of the group to build the state anew",
			sub.TableTopic(), sub.Group())
	}
	for topic, id := range now.Inputs {
		if before, ok := was.Inputs[topic]; ok && before != id {
			return fmt.Errorf("topic %s is not the one that the state of group %s was made from: it was deleted and created again, "+
				"or this is another cluster, and its records would be counted beside those of the old one; "+
				"delete topic %s and the state directory, and reset the offsets of the group to build the state anew",
				topic, sub.Group(), sub.TableTopic())
		}
	}
	return nil
}

func names(topics map[string]string) string {
	return strings.Join(slices.Sorted(maps.Keys(topics)), ", ")
}
