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
	"github.com/seed84377926/millrace/topology/describe"
)

// admission decides whether the topology of this program may go on with the state that the version before it left, and
// records it as the application's own. No task works before the topology is recorded.
//
// The record is read before anything is created or joined, so that a program that does not fit is refused at once. It
// is written when every group that differs from the recorded one has accepted this instance. A group refuses the
// instance while tasks of another version are at work in it, so a version that is only tried beside them changes
// nothing. Only the holder of a transactional id reads and writes, which makes both one step.
type admission struct {
	inst  *instance
	topic string
	now   describe.Topology

	accepted chan struct{} // closed when all groups that differ have accepted this instance
	admitted chan struct{} // closed when the tasks may work

	mu struct {
		sync.Mutex
		waiting map[string]bool // the groups that have not accepted it yet
	}
}

// incompatibleError says that this topology does not fit the recorded one.
type incompatibleError struct {
	topic   string
	was     topologyRecord
	changes describe.Changes
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

// openAdmission reads the record and refuses this topology if it does not fit. It changes nothing.
func openAdmission(ctx context.Context, inst *instance) (*admission, error) {
	ad := &admission{
		inst: inst, topic: inst.top.DescriptionTopic(), now: inst.top.Description().WithoutSites(),
		accepted: make(chan struct{}), admitted: make(chan struct{}),
	}
	ad.mu.waiting = make(map[string]bool)
	was, ids, err := ad.readAlone(ctx)
	if err != nil {
		return nil, err
	}
	changes, err := ad.compare(ctx, was)
	if err != nil {
		return nil, err
	}
	for _, change := range changes {
		level := slog.LevelWarn
		if change.Meaning == describe.MeansNothing {
			level = slog.LevelInfo
		}
		inst.cfg.Logger.Log(ctx, level, "the topology has changed", slog.String("means", change.Meaning.String()),
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
	ad.recordAccepted("")
	if was != nil && was.equal(ad.next(was, ids)) {
		close(ad.admitted)
	}
	return ad, nil
}

// readAlone takes the transactional id and reads the record, see read.
func (ad *admission) readAlone(ctx context.Context) (was *topologyRecord, ids map[string]string, err error) {
	switch _, err := ad.inst.client.Partitions(ctx, ad.topic); {
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

// takeOver fences all other instances: the holder of the id reads and writes alone.
func (ad *admission) takeOver(ctx context.Context) (*broker.Writer, error) {
	writer, err := broker.TakeOver(ctx, ad.inst.client, broker.WriterConfig{
		TransactionalID: fmt.Sprintf("%s.%s", ad.inst.client.ClusterID(), ad.topic),
		Timeout:         ad.inst.cfg.TransactionTimeout,
	})
	if err != nil {
		return nil, fmt.Errorf("the record of the topology: %w", err)
	}
	return writer, nil
}

// read returns the record, nil if there is none, and the ids of the existing topics of the application, in this version
// and in the recorded one.
func (ad *admission) read(ctx context.Context) (was *topologyRecord, ids map[string]string, err error) {
	_, err = broker.Restore(ctx, ad.inst.client, ad.topic, 0, 0, func(records []*kgo.Record) error {
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
	if was != nil { // a change cannot spoil what was deleted since
		was.Topology = was.Topology.Deleted(func(topic string) bool { return ids[topic] == "" || ids[topic] != was.Topics[topic] })
	}
	return was, ids, nil
}

// unreadableError says that the record cannot be decoded. Trying again does not help.
type unreadableError struct{ err error }

func (e *unreadableError) Error() string { return e.err.Error() }
func (e *unreadableError) Unwrap() error { return e.err }

// ids returns the ids of the topics that exist.
func (ad *admission) ids(ctx context.Context, topics []string) (map[string]string, error) {
	slices.Sort(topics)
	found, err := ad.inst.client.TopicIDs(ctx, slices.Compact(topics)...)
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
func (ad *admission) compare(ctx context.Context, was *topologyRecord) (describe.Changes, error) {
	if was == nil {
		return nil, nil
	}
	changes := describe.Compare(was.Topology, ad.now)
	refused := changes.Refused()
	switch {
	case len(refused) == 0:
		return changes, nil
	case ad.inst.cfg.AcceptTopology != refused.Fingerprint() || len(refused.Final()) > 0:
		return nil, &incompatibleError{topic: ad.topic, was: *was, changes: changes}
	}
	return changes, ad.checkOrphans(ctx, changes)
}

// checkOrphans makes sure that no instance is at work in the groups that this topology does not have any more: both
// versions would do the same work.
func (ad *admission) checkOrphans(ctx context.Context, changes describe.Changes) error {
	var groups []string
	for _, change := range changes {
		if change.Meaning == describe.MeansOrphan && change.Store == "" && change.Group != "" {
			groups = append(groups, change.Group)
		}
	}
	if len(groups) == 0 {
		return nil
	}
	described, err := ad.inst.client.Admin().DescribeGroups(ctx, groups...)
	if err != nil {
		return fmt.Errorf("describe groups %s: %w", strings.Join(groups, ", "), err)
	}
	for _, group := range described.Sorted() {
		if len(group.Members) > 0 {
			return fmt.Errorf("group %s, which this topology does not have, is at work: an older version of the application runs; "+
				"stop it before this one starts", group.Group)
		}
	}
	return nil
}

// next returns the record that this version writes.
func (ad *admission) next(was *topologyRecord, ids map[string]string) topologyRecord {
	next := topologyRecord{
		Format: topologyFormat, Writer: ad.inst.cfg.Address, At: time.Now(), Topology: ad.now, Topics: make(map[string]string),
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

// recordAccepted notes that a group has planned with this instance.
func (ad *admission) recordAccepted(group string) {
	ad.mu.Lock()
	defer ad.mu.Unlock()
	delete(ad.mu.waiting, group)
	if len(ad.mu.waiting) == 0 && !isClosed(ad.accepted) {
		close(ad.accepted)
	}
}

// start begins to record the topology as soon as all groups have accepted this instance. The function it returns ends
// that and waits for it.
func (ad *admission) start(ctx context.Context) (stop func()) { return background(ctx, ad.run) }

func (ad *admission) run(ctx context.Context) {
	select {
	case <-ad.accepted:
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
		if isFatalForAdmission(err) {
			ad.inst.fail(err)
			return
		}
		ad.inst.cfg.Logger.Warn("the topology cannot be recorded; it is tried again", slog.Any("error", err))
		if !sleep(ctx, backoff.next(), nil) {
			return
		}
	}
}

// isFatalForAdmission says whether trying again to record the topology cannot help.
func isFatalForAdmission(err error) bool {
	if _, ok := errors.AsType[*incompatibleError](err); ok {
		return true
	}
	_, ok := errors.AsType[*unreadableError](err)
	refusal, refused := errors.AsType[*broker.ProduceError](err)
	return ok || errors.Is(err, broker.ErrTimeoutRefused) || broker.IsDenied(err) || refused && refusal.Lasting()
}

// record reads the record again, since other instances may have written it since, and writes it if it differs.
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
	ad.inst.cfg.Logger.Info("topology recorded", slog.String("topic", ad.topic), slog.String("topology", ad.now.Fingerprint))
	return nil
}

// wait waits until the topology is recorded.
func (ad *admission) wait(ctx context.Context) error {
	select {
	case <-ad.admitted:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (ad *admission) isAdmitted() bool { return isClosed(ad.admitted) }

// waitReason says in words what the tasks wait for, "" if for nothing.
func (ad *admission) waitReason() string {
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
	return fmt.Sprintf("%s to accept this instance, because their topology has changed", strings.Join(groups, ", "))
}
