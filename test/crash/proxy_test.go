//go:build unix

package main

import (
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed84377926/millrace/embedded"
	"github.com/seed84377926/millrace/internal/brokertest"
)

// An answer to EndTxn is lost after the broker has committed, and no client bypasses the proxy.
func TestProxy_losesAnswersToEndTxn(t *testing.T) {
	broker := brokertest.Start(t, embedded.Config{Dir: t.TempDir()})
	admin, err := newAdmin(broker.Addrs()[0])
	require.NoError(t, err)
	defer admin.Close()
	require.NoError(t, createTopics(t.Context(), admin, []string{"t"}))

	var asked atomic.Int64
	p := newProxy(func() bool { return asked.Add(1) == 1 }, func() time.Duration { return 0 })
	defer p.close()
	entry, err := p.front(broker.Addrs()[0])
	require.NoError(t, err)
	again, err := p.front(broker.Addrs()[0])
	require.NoError(t, err)
	require.Equal(t, entry, again)

	kafka, err := kgo.NewClient(kgo.SeedBrokers(entry), kgo.TransactionalID("x"), kgo.DefaultProduceTopic("t"))
	require.NoError(t, err)
	defer kafka.Close()
	require.NoError(t, kafka.BeginTransaction())
	require.NoError(t, kafka.ProduceSync(t.Context(), kgo.StringRecord("v")).FirstErr())
	_ = kafka.EndTransaction(t.Context(), kgo.TryCommit) // whether the client finds out by itself is the client's business
	require.Equal(t, int64(1), p.lost.Load())
	for _, b := range kafka.DiscoveredBrokers() {
		answer, err := b.Request(t.Context(), kmsg.NewPtrMetadataRequest())
		require.NoError(t, err)
		metadata, ok := answer.(*kmsg.MetadataResponse)
		require.True(t, ok)
		for _, known := range metadata.Brokers {
			require.Equal(t, entry, net.JoinHostPort(known.Host, strconv.Itoa(int(known.Port))))
		}
	}
	records, err := readCommitted(t.Context(), broker.Addrs()[0], "t")
	require.NoError(t, err)
	require.Len(t, flatten(records["t"]), 1)
}

func TestSkipTags(t *testing.T) {
	for _, tc := range []struct {
		data []byte
		n    int
	}{{[]byte{0, 9}, 1}, {[]byte{1, 5, 2, 7, 7, 9}, 5}} {
		n, err := skipTags(tc.data)
		require.NoError(t, err)
		require.Equal(t, tc.n, n)
	}
	for _, bad := range [][]byte{{}, {1}, {1, 5}, {1, 5, 9, 1}} {
		_, err := skipTags(bad)
		require.Error(t, err)
	}
}
