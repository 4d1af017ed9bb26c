package broker

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// connect returns a client of the brokers at addrs that ends with the test.
func connect(t testing.TB, addrs []string) *Client {
	t.Helper()
	client, err := Connect(t.Context(), Config{Brokers: addrs})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}
