package broker

import (
	"bufio"
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/embedded"
	"github.com/seed84377926/millrace/internal/brokertest"
	"github.com/seed84377926/millrace/internal/clientlog"
)

func TestConnect_badConfig(t *testing.T) {
	for _, test := range []struct {
		name   string
		config Config
		want   []string
	}{
		{"no brokers", Config{}, []string{"Config.Brokers is empty", "such as 127.0.0.1:9092"}},
		{"empty address", Config{Brokers: []string{" "}}, []string{"an address is empty", "give host:port"}},
		{"url", Config{Brokers: []string{"kafka://host:9092"}}, []string{`"kafka://host:9092" is a URL`}},
		{"two in one", Config{Brokers: []string{"a:1,b:2"}}, []string{`"a:1,b:2" looks like several`}},
		{"too many colons", Config{Brokers: []string{"a:b:c"}}, []string{"too many colons", "give host:port"}},
		{"negative timeout", Config{Brokers: []string{"a"}, DialTimeout: -time.Second}, []string{"Config.DialTimeout is -1s"}},
		{"all at once", Config{Brokers: []string{"", "a,b"}, DialTimeout: -1}, []string{"is empty", "several", "DialTimeout"}},
		{"port", Config{Brokers: []string{"a:x"}}, []string{`address "a:x" has port "x"`, "from 1 to 65535"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Connect(t.Context(), test.config)
			require.Error(t, err)
			for _, want := range test.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
}

func TestConnect_nobodyThere(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())

	_, err = Connect(t.Context(), Config{Brokers: []string{address}})
	require.ErrorIs(t, err, ErrUnreachable)
	require.ErrorContains(t, err, address)
	require.ErrorContains(t, err, "connection refused")
	require.ErrorContains(t, err, "start Kafka there, correct the addresses, or start the embedded broker")
}

// TestConnect_notKafka connects to something that accepts connections and closes them when spoken to.
func TestConnect_notKafka(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = bufio.NewReader(conn).ReadByte()
			conn.Close()
		}
	}()
	defer func() {
		listener.Close()
		<-done
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err = Connect(ctx, Config{Brokers: []string{listener.Addr().String()}})
	require.ErrorIs(t, err, ErrUnreachable)
	require.ErrorContains(t, err, listener.Addr().String())
}

// TestConnect_advertisedAddressUnreachable reaches a broker through a proxy, while the address that it advertises is
// closed to clients.
func TestConnect_advertisedAddressUnreachable(t *testing.T) {
	b := brokertest.Start(t, embedded.Config{})
	config := Config{Brokers: []string{"proxy:9092"}}.withDefaults()
	dialer := kgo.Dialer(func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == b.Addrs()[0] {
			return nil, &net.OpError{Op: "dial", Net: network, Err: context.DeadlineExceeded}
		}
		return (&net.Dialer{}).DialContext(ctx, network, b.Addrs()[0])
	})
	kafka, err := kgo.NewClient(kgo.SeedBrokers(config.Brokers...), dialer)
	require.NoError(t, err)
	defer kafka.Close()
	err = newClient(config, kafka).handshake(t.Context())
	require.ErrorIs(t, err, ErrUnreachable)
	require.ErrorContains(t, err, "proxy:9092 answers, but advertises "+b.Addrs()[0])
	require.ErrorContains(t, err, "correct advertised.listeners")
}

func TestConnect_cancelled(t *testing.T) {
	b := brokertest.Start(t, embedded.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Connect(ctx, Config{Brokers: b.Addrs()})
	require.ErrorIs(t, err, context.Canceled)
}

func TestClient_topicsAndOffsets(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, addrs []string, unique func(string) string) {
		client := connect(t, addrs)
		require.NotEmpty(t, client.ClusterID())
		topic, absent := unique("offsets"), unique("absent")
		ctx := t.Context()

		_, err := client.Partitions(ctx, topic)
		require.ErrorIs(t, err, ErrTopicMissing)
		require.ErrorContains(t, err, topic)
		require.ErrorContains(t, err, "create it or correct the name")
		_, err = client.EndOffset(ctx, topic, 0)
		require.ErrorIs(t, err, ErrTopicMissing)

		require.NoError(t, client.EnsureTopics(ctx, TopicSpec{Name: topic, Partitions: 3, Kind: EventLog}))
		count, err := client.Partitions(ctx, topic)
		require.NoError(t, err, "right after the creation")
		require.EqualValues(t, 3, count)
		id, err := client.TopicID(ctx, topic)
		require.NoError(t, err)
		require.NotZero(t, id)
		_, err = client.TopicID(ctx, absent)
		require.ErrorIs(t, err, ErrTopicMissing)

		kafka := brokertest.NewKafka(t, nil, append(client.Options(), kgo.TransactionalID(unique("writer")))...)
		require.NoError(t, kafka.BeginTransaction())
		for range 4 {
			require.NoError(t, kafka.ProduceSync(ctx, &kgo.Record{Topic: topic, Partition: 1}).FirstErr())
		}
		end, err := client.EndOffset(ctx, topic, 1)
		require.NoError(t, err)
		require.EqualValues(t, 4, end, "an open transaction counts")
		require.NoError(t, kafka.EndTransaction(ctx, kgo.TryCommit))
		// A real broker answers before it has written the markers.
		require.Eventually(t, func() bool {
			end, err := client.EndOffset(ctx, topic, 1)
			return err == nil && end == 5
		}, 10*time.Second, 10*time.Millisecond, "the marker counts")
		end, err = client.EndOffset(ctx, topic, 2)
		require.NoError(t, err)
		require.EqualValues(t, 0, end)

		start, err := client.StartOffset(ctx, topic, 1)
		require.NoError(t, err)
		require.EqualValues(t, 0, start)
		brokertest.DeleteRecords(t, addrs, topic, 1, 2)
		start, err = client.StartOffset(ctx, topic, 1)
		require.NoError(t, err)
		require.EqualValues(t, 2, start)

		for _, ask := range []func(context.Context, string, int32) (int64, error){client.EndOffset, client.StartOffset} {
			_, err = ask(ctx, topic, 3)
			require.ErrorIs(t, err, ErrTopicMissing)
			require.ErrorContains(t, err, "partition 3 of")
			require.ErrorContains(t, err, "has 3 partitions")
		}
	})
}

// TestClient_optionsAreTheCallers appends to the options twice.
func TestClient_optionsAreTheCallers(t *testing.T) {
	client := connect(t, brokertest.Start(t, embedded.Config{}).Addrs())
	a := append(client.Options(), kgo.ClientID("a"))
	b := append(client.Options(), kgo.ClientID("b"))
	for want, options := range map[string][]kgo.Opt{"a": a, "b": b} {
		kafka, err := kgo.NewClient(options...)
		require.NoError(t, err)
		require.Equal(t, want, kafka.OptValue(kgo.ClientID))
		kafka.Close()
	}
}

func TestClient_logsThroughSlog(t *testing.T) {
	var log brokertest.Log
	b := brokertest.Start(t, embedded.Config{})
	client, err := Connect(t.Context(), Config{Brokers: b.Addrs(), Logger: log.Logger()})
	require.NoError(t, err)
	defer client.Close()
	logger := clientlog.New(client.Logger())
	require.Equal(t, kgo.LogLevelWarn, logger.Level(), "slog's info is too coarse for franz-go's")
	logger.Log(kgo.LogLevelWarn, "something odd", "broker", 7)
	logger.Log(kgo.LogLevelInfo, "something usual")
	require.Contains(t, log.String(), `level=WARN msg="kafka client" event="something odd" broker=7`)
	require.NotContains(t, log.String(), "usual")
}
