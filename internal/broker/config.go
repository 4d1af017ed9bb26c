package broker

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/internal/clientlog"
	"github.com/seed84377926/millrace/security"
)

// defaultDialTimeout is long enough for a broker in another region, and short enough to report a wrong address while
// the operator is still watching.
const defaultDialTimeout = 10 * time.Second

// Config says how to reach a Kafka cluster. Only Brokers is required; the zero value of every other field is a default
// that works.
type Config struct {
	// Brokers are the addresses to ask first, as "host" or "host:port". One that answers is enough: it names the
	// others.
	Brokers []string

	// ClientID appears in the logs and quotas of the brokers. The default is "millrace".
	ClientID string

	// Logger receives the logs of the clients. The default discards them.
	Logger *slog.Logger

	// DialTimeout bounds the opening of one connection. The default is 10 seconds.
	DialTimeout time.Duration

	// Rack names where this program runs, as broker.rack does for brokers. It then reads from replicas in its rack if
	// the cluster allows that (KIP-392), and the members of a group know each other's racks. The default is none.
	Rack string

	// Security protects the connections. The default is neither encryption nor authentication.
	Security security.Config

	// Metrics counts requests and connections. The default counts nothing.
	Metrics *ClientMetrics
}

// withDefaults returns c with every unset field filled in.
func (c Config) withDefaults() Config {
	c.ClientID = cmp.Or(c.ClientID, "millrace")
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	c.DialTimeout = cmp.Or(c.DialTimeout, defaultDialTimeout)
	return c
}

// validate reports everything that is wrong with c at once.
func (c Config) validate() error {
	var problems []error
	if len(c.Brokers) == 0 {
		problems = append(problems, errors.New("Config.Brokers is empty; give the address of at least one broker, such as 127.0.0.1:9092"))
	}
	for _, address := range c.Brokers {
		if err := validateAddress(address); err != nil {
			problems = append(problems, fmt.Errorf("Config.Brokers: %w", err))
		}
	}
	if c.DialTimeout < 0 {
		problems = append(problems, fmt.Errorf("Config.DialTimeout is %s; give a positive duration, or 0 for %s", c.DialTimeout, defaultDialTimeout))
	}
	problems = append(problems, c.Security.Validate())
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	return nil
}

// validateAddress accepts what franz-go accepts, and names the usual mistakes: a URL, and two addresses in one string.
func validateAddress(address string) error {
	switch {
	case strings.TrimSpace(address) == "":
		return errors.New("an address is empty; give host:port")
	case strings.Contains(address, "://"):
		return fmt.Errorf("address %q is a URL; give host:port alone", address)
	case strings.ContainsAny(address, ", \t\n"):
		return fmt.Errorf("address %q looks like several; give each as an element of its own", address)
	}
	if !strings.Contains(address, ":") {
		return nil
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("address %q: %w; give host:port", address, err)
	}
	if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
		return fmt.Errorf("address %q has port %q; give a number from 1 to 65535", address, port)
	}
	return nil
}

// options translates c for franz-go, except for Security, which protect translates. c has its defaults.
func (c Config) options() []kgo.Opt {
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID(c.ClientID),
		kgo.DialTimeout(c.DialTimeout),
		kgo.WithLogger(clientlog.New(c.Logger)),
	}
	if c.Rack != "" {
		opts = append(opts, kgo.Rack(c.Rack))
	}
	if c.Metrics != nil {
		opts = append(opts, kgo.WithHooks(c.Metrics))
	}
	return opts
}
