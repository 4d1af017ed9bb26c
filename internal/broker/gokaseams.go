package broker

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"log/slog"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"

	"github.com/seed84377926/millrace/internal/murmur2"
)

// handles passes Go values through goka, which carries bytes only: put returns a ticket of eight bytes, and take
// redeems it once.
type handles[T any] struct {
	mu struct {
		sync.Mutex
		last uint64
		held map[uint64]T
	}
}

func (h *handles[T]) put(v T) []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mu.held == nil {
		h.mu.held = make(map[uint64]T)
	}
	h.mu.last++
	h.mu.held[h.mu.last] = v
	return binary.LittleEndian.AppendUint64(nil, h.mu.last)
}

// take returns the value of a ticket, or false if it was redeemed before.
func (h *handles[T]) take(data []byte) (T, bool) {
	id := binary.LittleEndian.Uint64(data)
	h.mu.Lock()
	defer h.mu.Unlock()
	v, ok := h.mu.held[id]
	delete(h.mu.held, id)
	return v, ok
}

// gokaTopics is goka's topic manager on our client. The runtime creates and verifies topics before goka starts; here
// they must only exist.
type gokaTopics struct {
	client  *Client
	table   string // the topic that goka reads
	foreign bool   // see TableViewConfig
}

// adminTimeout bounds requests that goka makes without a context.
const adminTimeout = 30 * time.Second

func (t gokaTopics) EnsureTableExists(topic string, partitions int) error {
	return t.mustExist(topic, partitions)
}

func (t gokaTopics) EnsureStreamExists(topic string, partitions int) error {
	return t.mustExist(topic, partitions)
}

func (t gokaTopics) EnsureTopicExists(topic string, partitions, _ int, _ map[string]string) error {
	return t.mustExist(topic, partitions)
}

func (t gokaTopics) mustExist(topic string, want int) error {
	ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()
	n, err := t.client.Partitions(ctx, topic)
	if err != nil {
		return err
	}
	if int(n) != want {
		return fmt.Errorf("topic %s has %d partitions, want %d", topic, n, want)
	}
	return nil
}

// Partitions returns the table's partitions for every topic: goka wants the same number for all, and a processor only
// gets messages of its own partition.
func (t gokaTopics) Partitions(string) ([]int32, error) {
	ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()
	n, err := t.client.Partitions(ctx, t.table)
	if err != nil {
		return nil, err
	}
	partitions := make([]int32, n)
	for i := range partitions {
		partitions[i] = int32(i)
	}
	return partitions, nil
}

// GetOffset answers goka's "newest" with the high watermark, never with the last stable offset, see Restore. A foreign
// table is the exception: our own transactions do not write it.
func (t gokaTopics) GetOffset(topic string, partition int32, when int64) (int64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()
	if when == sarama.OffsetOldest {
		return t.client.StartOffset(ctx, topic, partition)
	}
	if t.foreign {
		return t.client.CommittedEnd(ctx, topic, partition)
	}
	return t.client.EndOffset(ctx, topic, partition)
}

func (gokaTopics) Close() error { return nil } // the caller owns the client

// gokaProducer is the producer that goka wants. It refuses records: they go through the fenced Writer.
type gokaProducer struct{}

var errNoEmit = errors.New("goka's producer is not used: records go through the fenced writer")

func (gokaProducer) EmitWithHeaders(string, string, []byte, goka.Headers) *goka.Promise {
	promise, finish := goka.NewPromiseWithFinisher()
	finish(nil, errNoEmit)
	return promise
}

func (p gokaProducer) Emit(topic, key string, value []byte) *goka.Promise {
	return p.EmitWithHeaders(topic, key, value, nil)
}

func (gokaProducer) Close() error { return nil }

// gokaLog logs goka's messages at debug level: the runtime itself logs what matters to a user.
type gokaLog struct{ logger *slog.Logger }

func (l gokaLog) Print(v ...any)                 { l.logger.Debug("goka", slog.String("text", fmt.Sprint(v...))) }
func (l gokaLog) Println(v ...any)               { l.Print(v...) }
func (l gokaLog) Printf(format string, v ...any) { l.Print(fmt.Sprintf(format, v...)) }
func (l gokaLog) Debugf(format string, v ...any) { l.Print(fmt.Sprintf(format, v...)) }

// javaHash returns the hash of Kafka's default partitioner, for goka.
func javaHash() hash.Hash32 { return murmur2.New() }

// gokaTable is the storage that goka recovers a table into. It adapts a TableStore, whose own batches contain the
// offset.
type gokaTable struct {
	table  TableStore
	runs   *handles[*Run]
	logger *slog.Logger
}

func (gokaTable) Open() error          { return nil }
func (gokaTable) Close() error         { return nil } // the engine below stays open, so that the next session starts at once
func (gokaTable) MarkRecovered() error { return nil }

func (s gokaTable) GetOffset(none int64) (int64, error) {
	if offset, ok := s.table.Offset(); ok {
		return offset, nil
	}
	return none, nil
}

// SetOffset does nothing: Restore has written the offset in the same batch as the rows.
func (gokaTable) SetOffset(int64) error { return nil }

func (s gokaTable) Get(key string) ([]byte, error) {
	value, _, err := s.table.Get(nil, []byte(key))
	return value, err
}

func (s gokaTable) Has(key string) (bool, error) {
	_, ok, err := s.table.Get(nil, []byte(key))
	return ok, err
}

// Set is called by goka's update callback for each message. A message stands for a whole run, and its value is the
// ticket of that run.
func (s gokaTable) Set(_ string, value []byte) error {
	run, ok := s.runs.take(value)
	if !ok {
		return errors.New("run was taken before")
	}
	defer run.Release()
	if err := s.table.Restore(run); err != nil {
		s.logger.Error("rows of a table cannot be kept; they are tried again", slog.Any("error", err)) // goka logs the error of Set only at debug level
		return err
	}
	return nil
}

func (gokaTable) Delete(string) error {
	return errors.New("table is written by its task's commits only, not through goka")
}

func (gokaTable) Iterator() (storage.Iterator, error) {
	return nil, errors.New("table is read through millrace's views, not through goka")
}

func (s gokaTable) IteratorWithRange([]byte, []byte) (storage.Iterator, error) { return s.Iterator() }
