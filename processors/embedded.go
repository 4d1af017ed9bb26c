package processors

import (
	"context"
	"log/slog"

	"github.com/seed84377926/millrace/internal/broker"
)

// EmbeddedBrokerConfig says where an embedded broker keeps its data.
type EmbeddedBrokerConfig struct {
	// Dir is the directory of its data, kept between runs. Required.
	Dir string
	// Port is the TCP port on 127.0.0.1; 0 takes a free one.
	Port int
	// NoSync leaves it to the operating system when to write to the disk, as Kafka does. Everything acknowledged
	// still survives the death of the process, but not that of the machine, and a transaction costs a fraction.
	NoSync bool
	// Logger receives what happens. Nil discards it.
	Logger *slog.Logger
}

// EmbeddedBroker is a Kafka broker inside this process, for development, tests and small single-machine installations.
// It keeps what it acknowledged through a crash, but it is one process without replication: it is not for production.
type EmbeddedBroker struct{ broker *broker.Embedded }

// StartEmbeddedBroker starts a broker on a directory. Transactions that a crash left open are aborted before anyone can
// connect. Close it when everything that uses it has ended.
func StartEmbeddedBroker(ctx context.Context, cfg EmbeddedBrokerConfig) (*EmbeddedBroker, error) {
	b, err := broker.StartEmbedded(ctx, broker.EmbeddedConfig{Dir: cfg.Dir, Port: cfg.Port, NoSync: cfg.NoSync, Logger: cfg.Logger})
	if err != nil {
		return nil, err
	}
	return &EmbeddedBroker{b}, nil
}

// Addrs returns the broker's addresses, for Config.Brokers.
func (b *EmbeddedBroker) Addrs() []string { return b.broker.Addrs() }

// Close stops the broker; its data stays.
func (b *EmbeddedBroker) Close() error { return b.broker.Close() }
