package kafka

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Secured is a real broker of its own that encrypts, authenticates and authorizes.
type Secured struct {
	// Root is a listener without protection, on which every operation is allowed.
	Root []string
	// TLS is a listener that requires client certificates of Authority.
	TLS []string
	// SASL is a listener with TLS for all SASL mechanisms.
	SASL []string
	// Authority signed the broker's certificate.
	Authority *Authority
}

// StartSecured starts a broker that ends with the test. PLAIN knows the users that plain has, with their passwords;
// SCRAM users are created through Root; a token is an unsigned JWS, which may name any user (OAUTHBEARER for tests).
// The authorizer allows only what was granted through Root. StartSecured skips the test where Brokers would, so that a
// run without Java remains possible.
func StartSecured(t testing.TB, plain map[string]string) *Secured {
	t.Helper()
	Brokers(t)
	authority := NewAuthority(t, "kafka authority")
	port, sasl, tls := freePorts(t)
	jaas := []string{"org.apache.kafka.common.security.plain.PlainLoginModule required"}
	for user, password := range plain {
		jaas = append(jaas, fmt.Sprintf("user_%s=%q", user, password))
	}
	scram := "org.apache.kafka.common.security.scram.ScramLoginModule required;"
	dir := t.TempDir()
	script(t, "start", dir, fmt.Sprint(port),
		fmt.Sprintf("listeners=PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d,SASL_SSL://127.0.0.1:%d,SSL://127.0.0.1:%d", port, port+1, sasl, tls),
		fmt.Sprintf("advertised.listeners=PLAINTEXT://127.0.0.1:%d,SASL_SSL://127.0.0.1:%d,SSL://127.0.0.1:%d", port, sasl, tls),
		"listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL",
		"ssl.keystore.type=PEM", "ssl.keystore.location="+authority.keystore(t, "kafka"),
		"ssl.truststore.type=PEM", "ssl.truststore.location="+authority.File,
		"listener.name.ssl.ssl.client.auth=required",
		"sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
		"listener.name.sasl_ssl.plain.sasl.jaas.config="+strings.Join(jaas, " ")+";",
		"listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config="+scram,
		"listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config="+scram,
		"listener.name.sasl_ssl.oauthbearer.sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"kafka\";",
		"authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"super.users=User:ANONYMOUS",
	)
	t.Cleanup(func() { script(t, "kill", dir) }) // its data is no longer needed
	address := func(port int) []string { return []string{fmt.Sprintf("127.0.0.1:%d", port)} }
	return &Secured{Root: address(port), TLS: address(tls), SASL: address(sasl), Authority: authority}
}

// script runs kafka.sh. Its output goes to a file, since the broker keeps its output open.
func script(t testing.TB, args ...string) {
	t.Helper()
	_, here, _, ok := runtime.Caller(0)
	require.True(t, ok)
	log, err := os.Create(filepath.Join(t.TempDir(), "kafka.sh.log"))
	require.NoError(t, err)
	defer log.Close()
	cmd := exec.Command(filepath.Join(filepath.Dir(here), "kafka.sh"), args...) //nolint:noctx // kill runs after the test's context has ended
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), "KAFKA_HEAP_OPTS=-Xms128m -Xmx512m")
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(log.Name())
		t.Fatalf("kafka.sh %s: %v\n%s", strings.Join(args[:2], " "), err, bytes.TrimSpace(text))
	}
}

// freePorts returns a port for the broker, whose next port, for the controller, is free as well, and two more.
func freePorts(t testing.TB) (broker, sasl, tls int) {
	t.Helper()
	var listening []net.Listener
	defer func() {
		for _, l := range listening {
			require.NoError(t, l.Close())
		}
	}()
	listen := func(port int) int {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)) //nolint:noctx // on the loopback it does not wait
		if err != nil {
			return 0
		}
		listening = append(listening, l)
		return int(netip.MustParseAddrPort(l.Addr().String()).Port())
	}
	for range 100 {
		if broker = listen(0); broker != 0 && listen(broker+1) != 0 {
			return broker, listen(0), listen(0)
		}
	}
	t.Fatal("there are no two free ports side by side")
	return 0, 0, 0
}
