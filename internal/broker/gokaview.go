package broker

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"
)

// TableViewConfig describes a goka view over a group's table.
type TableViewConfig struct {
	Client  *Client
	Fetcher *Fetcher // reads the table; a fetcher cannot read the same partition for two views
	Topic   string
	// Open returns the store of partition p.
	Open func(p int32) (TableStore, error)
	// Restart returns a channel that is closed when the store of partition p has lost its rows. The partition must then
	// be read again, from the offset that the store has at that time. Restart is called whenever a reading starts,
	// after the offset was read. It may be nil.
	Restart func(p int32) <-chan struct{}
	// Foreign says that the table is not a group's changelog but a topic that any program may write. Then the value of
	// a row begins with the timestamp of its record (state.AppendRowValue), a key may be empty, and the view has caught
	// up at the last stable offset: it does not wait for open transactions of other programs.
	Foreign bool
	Logger  *slog.Logger
}

// TableView is a goka view: a full local copy of a group's table, or of a topic that is read as one, kept up to date.
type TableView struct {
	view *goka.View
	runs handles[*Run]
}

// NewTableView makes the view; Run fills and follows it. The topic must exist.
func NewTableView(cfg TableViewConfig) (*TableView, error) {
	v := &TableView{}
	view, err := goka.NewView(nil, goka.Table(cfg.Topic), rawCodec{},
		goka.WithViewLogger(gokaLog{cfg.Logger}),
		goka.WithViewHasher(javaHash),
		goka.WithViewAutoReconnect(),
		goka.WithViewBackoffBuilder(newTableBackoff),
		goka.WithViewTopicManagerBuilder(func([]string) (goka.TopicManager, error) {
			return gokaTopics{client: cfg.Client, table: cfg.Topic, foreign: cfg.Foreign}, nil
		}),
		goka.WithViewConsumerSaramaBuilder(func([]string, string) (sarama.Consumer, error) {
			return tableReader{
				client: cfg.Client, fetcher: cfg.Fetcher, runs: &v.runs, restart: cfg.Restart, foreign: cfg.Foreign, logger: cfg.Logger,
			}, nil
		}),
		goka.WithViewStorageBuilder(func(_ string, p int32) (storage.Storage, error) {
			table, err := cfg.Open(p)
			if err != nil {
				return nil, err
			}
			return gokaTable{table, &v.runs, cfg.Logger}, nil
		}),
	)
	if err != nil {
		return nil, fmt.Errorf("view of %s: %w", cfg.Topic, err)
	}
	v.view = view
	return v, nil
}

// Run recovers the view and follows its table until ctx ends. It retries broken connections. It may be called once.
func (v *TableView) Run(ctx context.Context) error { return v.view.Run(ctx) }

// Running returns a channel that is closed when every partition has caught up with the end that its table had when the
// view started.
func (v *TableView) Running() <-chan struct{} { return v.view.WaitRunning() }

// TableViewStats are goka's own statistics of a view, as JSON.
type TableViewStats struct {
	State string          `json:"state"`
	Stats *goka.ViewStats `json:"stats"`
}

// Stats returns goka's statistics of the view.
func (v *TableView) Stats(ctx context.Context) TableViewStats {
	return TableViewStats{State: viewStateName(v.view.CurrentState()), Stats: v.view.Stats(ctx)}
}

func viewStateName(s goka.ViewState) string {
	switch s {
	case goka.ViewStateIdle:
		return "idle"
	case goka.ViewStateInitializing:
		return "initializing"
	case goka.ViewStateConnecting:
		return "connecting"
	case goka.ViewStateCatchUp:
		return "catching up"
	case goka.ViewStateRunning:
		return "running"
	default:
		return fmt.Sprintf("state %d", s)
	}
}

// tableBackoff doubles the pause between two attempts to read a table.
type tableBackoff struct{ next time.Duration }

func newTableBackoff() (goka.Backoff, error) { return &tableBackoff{}, nil }

func (b *tableBackoff) Duration() time.Duration {
	b.next = min(max(2*b.next, 100*time.Millisecond), 5*time.Second)
	return b.next
}

func (b *tableBackoff) Reset() { b.next = 0 }
