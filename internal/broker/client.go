package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ErrUnreachable is wrapped by the error of Connect when no broker answers.
var ErrUnreachable = errors.New("no broker answers")

// Client is a connection to one Kafka cluster for requests about the cluster: topics, offsets, groups. It neither
// produces nor consumes; writers and readers make clients of their own from Options. Safe for concurrent use.
type Client struct {
	config     Config
	protection protection
	kafka      *kgo.Client
	admin      *kadm.Client
	clusterID  string
}

// Connect opens a connection to the cluster of config and checks that it works: a broker answers, and one answers under
// the address that the cluster itself advertises. The caller owns the client and must Close it. If no broker answers,
// the error wraps ErrUnreachable, and if one side does not trust the other, ErrUntrusted. It names the addresses, the
// cause and the remedy.
func Connect(ctx context.Context, config Config) (*Client, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	protection, err := config.protect(ctx)
	if err != nil {
		return nil, err
	}
	kafka, err := kgo.NewClient(append(config.options(), protection.options...)...)
	if err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	client := newClient(config, kafka)
	client.protection = protection
	if err := client.handshake(ctx); err != nil {
		client.Close()
		return nil, err
	}
	return client, nil
}

func newClient(config Config, kafka *kgo.Client) *Client {
	return &Client{config: config, kafka: kafka, admin: kadm.NewClient(kafka)}
}

// handshake asks the cluster for its id, first at the given and then at an advertised address. The most common mistake
// in a Kafka setup is a broker that advertises an address that its clients cannot reach; without the second step this
// mistake would appear only much later, as endless retries.
func (c *Client) handshake(ctx context.Context) error {
	if err := c.kafka.Ping(ctx); err != nil {
		remedy, kind := c.config.explain(err)
		if remedy == "" {
			remedy = "start Kafka there, correct the addresses, or start the embedded broker"
		}
		return fmt.Errorf("broker: %w at %s: %w; %s", kind, strings.Join(c.config.Brokers, ", "), err, remedy)
	}
	metadata, err := c.admin.BrokerMetadata(ctx)
	if err != nil {
		return fmt.Errorf("broker: asking %s for the cluster: %w", strings.Join(c.config.Brokers, ", "), err)
	}
	c.clusterID = metadata.Cluster
	var advertised []string
	var failure error
	for _, node := range metadata.Brokers {
		if _, failure = c.kafka.Broker(int(node.NodeID)).Request(ctx, kmsg.NewPtrApiVersionsRequest()); failure == nil {
			return nil
		}
		advertised = append(advertised, fmt.Sprintf("%s:%d", node.Host, node.Port))
	}
	remedy, kind := c.config.explain(failure)
	if remedy == "" {
		remedy = "correct advertised.listeners of the broker"
	}
	return fmt.Errorf("broker: %w: %s answers, but advertises %s, and that cannot be reached from here: %w; %s",
		kind, strings.Join(c.config.Brokers, ", "), strings.Join(advertised, ", "), failure, remedy)
}

// ClusterID returns the id of the cluster. It stays the same as long as the cluster keeps its data. Transactional ids
// begin with it.
func (c *Client) ClusterID() string { return c.clusterID }

// Rack returns where this program runs, "" if it is not configured.
func (c *Client) Rack() string { return c.config.Rack }

// Options returns the options for further franz-go clients of the same cluster: addresses, client id, logger, dial
// timeout, security. The caller owns the slice and may append to it.
func (c *Client) Options() []kgo.Opt { return append(c.config.options(), c.protection.options...) }

// Admin returns the administrative client. It is valid until Close; do not close it.
func (c *Client) Admin() *kadm.Client { return c.admin }

// Logger returns the logger of the configuration, never nil.
func (c *Client) Logger() *slog.Logger { return c.config.Logger }

// Close closes the connection at once: requests under way fail. It may be called more than once.
func (c *Client) Close() { c.kafka.Close() }
