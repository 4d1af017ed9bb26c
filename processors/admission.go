package processors

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/topology"
)

// admission decides whether the topology of this program may go on with what the version before it left, and records it as the
// application's own. No task works before that is done.
//
// The record is read before anything is created or joined, so that a program that does not fit is refused at once. It is
// written when every group that differs from the recorded one has let this instance in: a group with tasks of another version
// at work refuses it, so that whoever is only tried beside them changes nothing. Reading and writing are done as the holder of
// a transactional id, which makes them one step.
type admission struct {
	app   *App
	topic string
	now   topology.Description

	let      chan struct{} // closed when all groups that have to let this instance in have done so
	admitted chan struct{} // closed when the tasks may work

	mu struct {
		sync.Mutex
		waiting map[string]bool // the groups that have not
	}
}

// incompatibleError is a refusal of this topology.
type incompatibleError struct {
	topic   string
	was     topologyRecord
	changes topology.Changes
}

func (e *incompatibleError) Error() string {
	refused := e.changes.Refused()
	acceptance := ""
	if len(refused.Final()) == 0 {
		acceptance = fmt.Sprintf(", or set AcceptTopology to %q to deploy it all the same", refused.Fingerprint())
	}
	return fmt.Sprintf("the topology does not fit what is there: %s ran topology %s (topic %s, written %s), and this is another one:\n%s"+
		"change the topology as it says%s; if %[1]s ran another application, the two have the same name: rename one of them",
		e.was.Writer, e.was.Topology.Fingerprint, e.topic, e.was.At.UTC().Format(time.RFC3339), refused, acceptance)
}

// examine reads what is recorded and refuses this topology if it does not fit. Nothing is changed.
func (a *App) examine(ctx context.Context) (*admission, error) {
	ad := &admission{
		app: a, topic: a.top.DescriptionTopic(), now: a.top.Description().WithoutSites(),
		let: make(chan struct{}), admitted: make(chan struct{}),
	}
	ad.mu.waiting = make(map[string]bool)
	was, ids, err := ad.recorded(ctx)
	if err != nil {
		return nil, err
	}
	changes, err := ad.compare(ctx, was)
	if err != nil {
		return nil, err
	}
	for _, change := range changes {
		level := slog.LevelWarn
		if change.Meaning == topology.MeansNothing {
			level = slog.LevelInfo
		}
		a.cfg.Logger.Log(ctx, level, "the topology has changed", slog.String("means", change.Meaning.String()),
			slog.String("what", change.What), slog.String("effect", change.Effect), slog.String("remedy", change.Remedy))
	}
	known := make(map[string]string) // fingerprints
	if was != nil {
		for _, sub := range was.Topology.SubTopologies {
			known[sub.Group] = sub.Fingerprint
		}
	}
	for _, sub := range ad.now.SubTopologies {
		if known[sub.Group] != sub.Fingerprint {
			ad.mu.waiting[sub.Group] = true
		}
	}
	ad.letIn("")
	if was != nil && was.equal(ad.next(was, ids)) {
		close(ad.admitted)
	}
	return ad, nil
}

// recorded takes the transactional id and reads the record, see read.
func (ad *admission) recorded(ctx context.Context) (was *topologyRecord, ids map[string]string, err error) {
	switch _, err := ad.app.client.Partitions(ctx, ad.topic); {
	case errors.Is(err, broker.ErrTopicMissing):
		return nil, nil, nil // the first version
	case err != nil:
		return nil, nil, err
	}
	writer, err := ad.takeOver(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer writer.Close()
	return ad.read(ctx)
}

// takeOver ends what others have open: who holds the id reads and writes alone.
func (ad *admission) takeOver(ctx context.Context) (*broker.Writer, error) {
	writer, err := broker.TakeOver(ctx, ad.app.client, broker.WriterConfig{
		TransactionalID: fmt.Sprintf("%s.%s", ad.app.client.ClusterID(), ad.topic),
		Timeout:         ad.app.cfg.TransactionTimeout,
	})
	if err != nil {
		return nil, fmt.Errorf("the record of the topology: %w", err)
	}
	return writer, nil
}

// read returns the record, nil if there is none, and the ids of those topics of the application that exist, in this version or in
// the recorded one.
func (ad *admission) read(ctx context.Context) (was *topologyRecord, ids map[string]string, err error) {
	_, err = broker.Restore(ctx, ad.app.client, ad.topic, 0, 0, func(records []*kgo.Record) error {
		for _, r := range records {
			if string(r.Key) != topologyKey || r.Value == nil {
				continue
			}
			found, err := decodeTopologyRecord(r.Value)
			if err != nil {
				return &unreadableError{fmt.Errorf("topic %s, offset %d, holds no topology that can be read: %w", ad.topic, r.Offset, err)}
			}
			was = &found
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read the record of the topology: %w", err)
	}
	topics := ad.now.InternalTopics()
	if was != nil {
		topics = append(topics, was.Topology.InternalTopics()...)
	}
	if ids, err = ad.ids(ctx, topics); err != nil {
		return nil, nil, err
	}
	if was != nil { // of what somebody has deleted since, nothing is left that a change could spoil
		was.Topology = was.Topology.Deleted(func(topic string) bool { return ids[topic] == "" || ids[topic] != was.Topics[topic] })
	}
	return was, ids, nil
}

// unreadableError says that what is recorded cannot be understood. Trying again does not help.
type unreadableError struct{ err error }

func (e *unreadableError) Error() string { return e.err.Error() }
func (e *unreadableError) Unwrap() error { return e.err }

// ids returns the ids of those of the topics that exist.
func (ad *admission) ids(ctx context.Context, topics []string) (map[string]string, error) {
	slices.Sort(topics)
	found, err := ad.app.client.TopicIDs(ctx, slices.Compact(topics)...)
	if err != nil {
		return nil, err
	}
	ids := make(map[string]string, len(found))
	for topic, id := range found {
		ids[topic] = hex.EncodeToString(id[:])
	}
	return ids, nil
}

// compare refuses this topology if it does not fit the record.
func (ad *admission) compare(ctx context.Context, was *topologyRecord) (topology.Changes, error) {
	if was == nil {
		return nil, nil
	}
	changes := topology.Compare(was.Topology, ad.now)
	refused := changes.Refused()
	switch {
	case len(refused) == 0:
		return changes, nil
	case ad.app.cfg.AcceptTopology != refused.Fingerprint() || len(refused.Final()) > 0:
		return nil, &incompatibleError{topic: ad.topic, was: *was, changes: changes}
	}
	return changes, ad.deserted(ctx, changes)
}

// deserted makes sure that nobody is at work in the groups that state and positions are taken from: both versions would do the
// same work.
func (ad *admission) deserted(ctx context.Context, changes topology.Changes) error {
	var groups []string
	for _, change := range changes {
		if change.Meaning == topology.MeansOrphan && change.Store == "" && change.Group != "" {
			groups = append(groups, change.Group)
		}
	}
	if len(groups) == 0 {
		return nil
	}
	described, err := ad.app.client.Admin().DescribeGroups(ctx, groups...)
	if err != nil {
		return fmt.Errorf("ask for groups %s: %w", strings.Join(groups, ", "), err)
	}
	for _, group := range described.Sorted() {
		if len(group.Members) > 0 {
			return fmt.Errorf("group %s, which this topology does not have, is at work: an older version of the application runs; "+
				"stop it before this one starts", group.Group)
		}
	}
	return nil
}

// next is the record to be.
func (ad *admission) next(was *topologyRecord, ids map[string]string) topologyRecord {
	next := topologyRecord{
		Format: topologyFormat, Writer: ad.app.cfg.Address, At: time.Now(), Topology: ad.now, Topics: make(map[string]string),
	}
	if was != nil {
		next.Topology = next.Topology.After(was.Topology)
	}
	for _, topic := range next.Topology.InternalTopics() {
		if id, ok := ids[topic]; ok {
			next.Topics[topic] = id
		}
	}
	return next
}

// letIn is told that a group has planned with this instance.
func (ad *admission) letIn(group string) {
	ad.mu.Lock()
	defer ad.mu.Unlock()
	delete(ad.mu.waiting, group)
	if len(ad.mu.waiting) == 0 && !isClosed(ad.let) {
		close(ad.let)
	}
}

// start records the topology as soon as it may. The function it returns ends that and waits for it.
func (ad *admission) start(ctx context.Context) (stop func()) { return background(ctx, ad.run) }

func (ad *admission) run(ctx context.Context) {
	select {
	case <-ad.let:
	case <-ctx.Done():
		return
	}
	if ad.isAdmitted() {
		return
	}
	var backoff retryBackoff
	for {
		err := ad.record(ctx)
		if err == nil {
			close(ad.admitted)
			return
		}
		if ctx.Err() != nil {
			return
		}
		if ad.hopeless(err) {
			ad.app.fail(err)
			return
		}
		ad.app.cfg.Logger.Warn("the topology cannot be recorded; it is tried again", slog.Any("error", err))
		if !pause(ctx, backoff.next(), nil) {
			return
		}
	}
}

func (ad *admission) hopeless(err error) bool {
	if _, ok := errors.AsType[*incompatibleError](err); ok {
		return true
	}
	_, ok := errors.AsType[*unreadableError](err)
	refusal, refused := errors.AsType[*broker.ProduceError](err)
	return ok || errors.Is(err, broker.ErrTimeoutRefused) || broker.IsDenied(err) || refused && refusal.Lasting()
}

// record reads again, since others may have recorded something meanwhile, and writes what differs.
func (ad *admission) record(ctx context.Context) error {
	writer, err := ad.takeOver(ctx)
	if err != nil {
		return err
	}
	defer writer.Close()
	was, ids, err := ad.read(ctx)
	if err != nil {
		return err
	}
	if _, err := ad.compare(ctx, was); err != nil {
		return err
	}
	next := ad.next(was, ids)
	if was != nil && was.equal(next) {
		return nil
	}
	value, err := next.encode()
	if err != nil {
		return err
	}
	if err := writer.Begin(); err != nil {
		return err
	}
	writer.Produce(&kgo.Record{Topic: ad.topic, Key: []byte(topologyKey), Value: value}, nil)
	if err := writer.Commit(ctx, nil); err != nil {
		return fmt.Errorf("record the topology: %w", err)
	}
	ad.app.cfg.Logger.Info("topology recorded", slog.String("topic", ad.topic), slog.String("topology", ad.now.Fingerprint))
	return nil
}

// wait holds a task back until the topology is recorded.
func (ad *admission) wait(ctx context.Context) error {
	select {
	case <-ad.admitted:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (ad *admission) isAdmitted() bool { return isClosed(ad.admitted) }

// waits says what holds the tasks back, "" if nothing does.
func (ad *admission) waits() string {
	if ad.isAdmitted() {
		return ""
	}
	ad.mu.Lock()
	defer ad.mu.Unlock()
	if len(ad.mu.waiting) == 0 {
		return "the brokers, to record the topology"
	}
	var groups []string
	for group := range ad.mu.waiting {
		groups = append(groups, group)
	}
	slices.Sort(groups)
	return fmt.Sprintf("this instance to be let into %s, whose topology has changed", strings.Join(groups, ", "))
}
