package processors

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/topology/engine"
)

// feed brings the records of one input partition (broker.Feed).
type feed interface {
	Take() (broker.Batch, bool, error)
	Fetched() int64
	Close()
}

// input is one input partition of a task while it is read.
type input struct {
	index int // of the topology's inputs
	topic string
	feed  feed
	batch broker.Batch // the records not yet taken
	// next is the offset after the last record that went into a unit, and after the markers that follow it.
	next int64
	// from is what next was at the last commit.
	from int64
	// caughtUp says that the input was seen to have nothing more since it ran empty: its position had reached the end
	// of the log. It stays so until the next record, or until another input brings a newer batch.
	caughtUp bool
	// idleSince is when it was first seen empty and caught up, zero if it is not.
	idleSince time.Time

	// stamp returns the timestamp of a record; nil if that is Kafka's. See topology.TimestampOf.
	stamp func(rec *kgo.Record, partitionTime int64) int64
	// latest returns the latest time that the task takes at the moment; nil if it takes all.
	latest func() int64
	// time is the partition time of the records taken, stampedFrom what it was at the last commit.
	time, stampedFrom int64
	stamped           int64 // the timestamp of the head, if known
	repartition       bool  // it is a repartition topic, which has marks
	known             bool
}

// isExternal says whether the task reads the input itself, and not through a repartition.
func (in *input) isExternal() bool { return !in.repartition }

// head returns the next record without taking it.
func (in *input) head() *kgo.Record {
	if len(in.batch.Records) == 0 {
		return nil
	}
	return in.batch.Records[0]
}

// timestamp returns the timestamp of the head, by which it is chosen. A mark has none: it is taken at once, for it
// tells about the records before it, and its timestamp in Kafka is a time of the wall clock. A head that the task will
// refuse because of its time is chosen at once, too, so that it does not hold back the records after it.
func (in *input) timestamp() int64 {
	if in.repartition && isMark(in.head()) {
		return math.MinInt64
	}
	if in.stamp == nil {
		timestamp := broker.RecordTime(in.head())
		if in.latest != nil && timestamp > in.latest() {
			return engine.UnknownTime
		}
		return timestamp
	}
	if !in.known {
		in.stamped, in.known = in.stamp(in.head(), in.time), true
	}
	return in.stamped
}

// fill takes the next batch from the feed if the last one is used up. It reports whether there was one.
func (in *input) fill() (fresh bool, err error) {
	for len(in.batch.Records) == 0 {
		in.next = max(in.next, in.batch.Next)
		batch, ok, err := in.feed.Take()
		if err != nil || !ok {
			return false, err
		}
		in.batch = batch
		fresh = true
	}
	return fresh, nil
}

// take removes the head.
func (in *input) take() *kgo.Record {
	if in.stamp != nil {
		in.time = max(in.time, in.timestamp())
		in.known = false
	}
	rec := in.batch.Records[0]
	in.batch.Records = in.batch.Records[1:]
	in.next = rec.Offset + 1
	if len(in.batch.Records) == 0 {
		in.next = in.batch.Next // after the markers that follow it
	}
	in.caughtUp = false
	in.idleSince = time.Time{}
	return rec
}

// inputs merges the input partitions of a task as Kafka Streams does (docs/semantics.md, Choice of the next record):
//
//   - Nothing is chosen while an input is empty and not known to be caught up.
//   - An empty input that is caught up is waited for no longer than the idle time.
//   - The next record is the one with the smallest timestamp among the heads; offset order within a partition never
//     changes; a tie goes to the input named first.
type inputs struct {
	all     []*input
	maxIdle time.Duration
	// end reads the end of an input's committed log.
	end func(ctx context.Context, topic string) (int64, error)
	now func() time.Time
	// limit bounds the records of a unit; 0 means maxUnit.
	limit int
	// bound is the largest timestamp that may be taken, 0 for none, so that the task waits for the task of the
	// partition slowest, see alignment.
	bound   int64
	slowest int32
	// blockedAt is the timestamp of the record that is further ahead than that, UnknownTime if there is none.
	blockedAt int64

	// These two are published to explain why a task stands still.
	waitsFor string // the empty input that the task waits for, "" if there is none
	enforced int64  // how often an idle time was over and the task went on without an input
}

func (s *inputs) maxRecords() int {
	if s.limit > 0 {
		return s.limit
	}
	return maxUnit
}

// next appends to u what may be processed now. If nothing may and an idle time is running, it returns how long to wait
// before asking again even if nothing arrives.
func (s *inputs) next(ctx context.Context, u *unit) (wait time.Duration, err error) {
	u.records = u.records[:0]
	s.waitsFor, s.blockedAt = "", engine.UnknownTime
	for len(u.records) < s.maxRecords() {
		var best *input
		var empty int
		for _, in := range s.all {
			if _, err := s.fill(in); err != nil {
				return 0, err
			}
			switch head := in.head(); {
			case head == nil:
				empty++
			case best == nil || in.timestamp() < best.timestamp():
				best = in
			}
		}
		if best == nil {
			return 0, nil
		}
		if empty > 0 && s.maxIdle >= 0 {
			ready, wait, err := s.mayGoOn(ctx)
			if err != nil || !ready {
				return wait, err
			}
			if again, err := s.arrived(); err != nil {
				return 0, err
			} else if again {
				continue
			}
		}
		if s.ahead(best) {
			if len(u.records) > 0 {
				return 0, nil
			}
			s.blockedAt = best.timestamp()
			s.waitsFor = fmt.Sprintf("the task of partition %d, which is behind by more than AlignWithin", s.slowest)
			return alignAgain, nil
		}
		u.records = append(u.records, unitRecord{best.index, best.take()})
		// While all others are empty and may be passed over, the rest of the batch needs no comparison.
		for empty == len(s.all)-1 && best.head() != nil && len(u.records) < s.maxRecords() && !s.ahead(best) {
			u.records = append(u.records, unitRecord{best.index, best.take()})
		}
	}
	return 0, nil
}

// ahead says whether the head of an input is further ahead than the task may be.
func (s *inputs) ahead(in *input) bool {
	return s.bound != 0 && in.timestamp() > s.bound && !in.repartition
}

// fill fills one input. The batch is newer than the known ends of the other inputs. They may have received older
// records since, so their ends must be read again.
func (s *inputs) fill(in *input) (fresh bool, err error) {
	fresh, err = in.fill()
	if fresh {
		for _, other := range s.all {
			if other != in {
				other.caughtUp = false
			}
		}
	}
	return fresh, err
}

// arrived fills empty inputs with the records that arrived while their ends were read, and reports whether there were
// any. Otherwise an input would count as caught up although its last records have just been fetched and are not taken
// yet.
func (s *inputs) arrived() (some bool, err error) {
	for _, in := range s.all {
		if in.head() != nil {
			continue
		}
		fresh, err := s.fill(in)
		if err != nil {
			return false, err
		}
		some = some || fresh
	}
	return some, nil
}

// mayGoOn says whether the empty inputs need not be waited for.
func (s *inputs) mayGoOn(ctx context.Context) (ready bool, wait time.Duration, err error) {
	enforced := false
	for _, in := range s.all {
		if in.head() != nil {
			continue
		}
		if !in.caughtUp {
			end, err := s.end(ctx, in.topic)
			if err != nil {
				return false, 0, err
			}
			if in.feed.Fetched() < end {
				s.waitsFor = in.topic + ", which is not read to its end"
				return false, caughtUpAgain, nil // the missing records are on their way
			}
			in.caughtUp = true
		}
		if s.maxIdle > 0 {
			if in.idleSince.IsZero() {
				in.idleSince = s.now()
			}
			if left := s.maxIdle - s.now().Sub(in.idleSince); left > 0 {
				s.waitsFor = in.topic + ", which is empty, until the idle time is over"
				return false, left, nil
			}
			enforced = true
		}
	}
	if enforced {
		s.enforced++
	}
	return true, 0, nil
}

// caughtUpAgain is how soon the end of a lagging input is read again if nothing arrives before: its log may end in an
// open transaction, which brings nothing until it is over.
const caughtUpAgain = 20 * time.Millisecond

// committed notes that everything taken so far is committed.
func (s *inputs) committed() {
	for _, in := range s.all {
		in.from, in.stampedFrom = in.next, in.time
	}
}

// putBack returns to the last commit. taken holds all records taken since.
func (s *inputs) putBack(taken []unitRecord) {
	for _, in := range s.all {
		var records []*kgo.Record
		for _, r := range taken {
			if r.input == in.index {
				records = append(records, r.record)
			}
		}
		in.next, in.time, in.known = in.from, in.stampedFrom, false
		in.batch.Records = append(records, in.batch.Records...)
	}
}

// restart returns to the last commit by reading again. open opens an input where it was at that commit.
func (s *inputs) restart(open func(*input) feed) {
	for _, in := range s.all {
		in.feed.Close()
		in.next, in.batch, in.caughtUp, in.idleSince = in.from, broker.Batch{}, false, time.Time{}
		in.time, in.known = in.stampedFrom, false
		in.feed = open(in)
	}
}

// close stops reading.
func (s *inputs) close() {
	for _, in := range s.all {
		in.feed.Close()
	}
}
