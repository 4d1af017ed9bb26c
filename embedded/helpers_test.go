package embedded_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/internal/broker"
)

// connect returns a client of the brokers at addrs that ends with the test.
func connect(t testing.TB, addrs []string) *broker.Client {
	t.Helper()
	client, err := broker.Connect(t.Context(), broker.Config{Brokers: addrs})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}
