package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
)

func TestSecurityFlags(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"certificate without key", []string{"--tls-cert", "c.pem"}, "--tls-cert and --tls-key go together"},
		{"user without mechanism", []string{"--sasl-user", "u"}, "need --sasl-mechanism; give PLAIN, SCRAM-SHA-256"},
		{"unknown mechanism", []string{"--sasl-mechanism", "gssapi"}, `--sasl-mechanism is "GSSAPI"; give one of PLAIN`},
		{"no password", []string{"--sasl-mechanism", "plain", "--sasl-user", "u"}, "--sasl-mechanism PLAIN needs --sasl-user and --sasl-password-file"},
		{"no token", []string{"--sasl-mechanism", "OAUTHBEARER"}, "--sasl-mechanism OAUTHBEARER needs --sasl-token-file"},
	} {
		for _, command := range [][]string{{"topics"}, {"describe", "airport"}} {
			code, _, stderr := call(t, append(command, test.args...)...)
			require.Equal(t, exitUsage, code, test.name)
			require.Contains(t, stderr, test.want, test.name)
		}
	}
	code, _, stderr := call(t, "topics", "--tls-ca", "/nowhere/ca.pem", "--brokers", "127.0.0.1:1")
	require.Equal(t, exitFailure, code)
	require.Contains(t, stderr, "Security.CAFile: open /nowhere/ca.pem: no such file", "and --tls is implied")
}

func TestTopics_authenticated(t *testing.T) {
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "operator", "sesame"), kfake.SeedTopics(1, "secret"))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte("sesame\n"), 0o600))
	args := []string{"topics", "--brokers", cluster.ListenAddrs()[0], "--sasl-mechanism", "scram-sha-256", "--sasl-user", "operator", "--sasl-password-file", file}
	code, stdout, stderr := call(t, args...)
	require.Equal(t, exitOK, code, stderr)
	require.Contains(t, stdout, "secret")

	require.NoError(t, os.WriteFile(file, []byte("wrong"), 0o600))
	code, _, stderr = call(t, args...)
	require.Equal(t, exitFailure, code)
	require.Contains(t, stderr, `as "operator": correct the credentials`)
}
