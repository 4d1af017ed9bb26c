package broker_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/security"
	"github.com/seed84377926/millrace/test/kafka"
)

// What the embedded broker's tests show of TLS, SASL and ACLs holds on Apache Kafka.
func TestKafka_security(t *testing.T) {
	secured := kafka.StartSecured(t, map[string]string{"plain": "one"})
	root, err := kgo.NewClient(kgo.SeedBrokers(secured.Root...))
	require.NoError(t, err)
	t.Cleanup(root.Close)
	s := &securedSites{Secured: secured, admin: kadm.NewClient(root)}

	t.Run("tls", s.testTLS)
	t.Run("sasl", s.testSASL)
	t.Run("processors", func(t *testing.T) { testProcessorsACLs(t, s.site) })
	t.Run("views", func(t *testing.T) { testViewsACLs(t, s.site) })
	t.Run("edge", func(t *testing.T) { testEdgeACLs(t, s.site) })
}

// securedSites makes sites that share a broker: each has a name and a user of its own.
type securedSites struct {
	*kafka.Secured
	admin *kadm.Client
	made  atomic.Int32
}

func (s *securedSites) site(t *testing.T, acls []kfake.ACL) aclSite {
	t.Helper()
	app := fmt.Sprintf("airport%d", s.made.Add(1))
	site := aclSite{
		app: app, brokers: s.SASL, owner: access{brokers: s.Root},
		security: security.Config{TLS: true, CAFile: s.Authority.File, Mechanism: security.ScramSHA512, User: app, Password: "secret"},
	}
	site.connectRoot(t)
	s.addUser(t, app, "secret", kadm.ScramSha512)
	rename := strings.NewReplacer(aclApp, app, aclCluster, site.root.ClusterID())
	for _, acl := range acls {
		acl.Name = rename.Replace(acl.Name)
		s.allow(t, "User:"+app, acl)
	}
	s.settled(t, "User:"+app, acls)
	require.Eventually(t, func() bool { return connect(t, site.brokers, site.security) == nil }, 20*time.Second, 10*time.Millisecond)
	return site
}

func (s *securedSites) addUser(t *testing.T, user, password string, mechanism kadm.ScramMechanism) {
	t.Helper()
	results, err := s.admin.AlterUserSCRAMs(t.Context(), nil, []kadm.UpsertSCRAM{{User: user, Mechanism: mechanism, Iterations: 4096, Password: password}})
	require.NoError(t, err)
	require.NoError(t, results.Error())
}

func (s *securedSites) allow(t *testing.T, principal string, acl kfake.ACL) {
	t.Helper()
	b := kadm.NewACLs().Allow(principal).AllowHosts("*").ResourcePatternType(acl.Pattern).Operations(acl.Operation)
	switch name := acl.Resource.String(); name {
	case "TOPIC":
		b.Topics(acl.Name)
	case "GROUP":
		b.Groups(acl.Name)
	case "TRANSACTIONAL_ID":
		b.TransactionalIDs(acl.Name)
	default:
		t.Fatalf("nobody documented a permission on a %s", name)
	}
	results, err := s.admin.CreateACLs(t.Context(), b)
	require.NoError(t, err)
	for _, result := range results {
		require.NoError(t, result.Err)
	}
}

// settled waits until the broker goes by what the controller was told.
func (s *securedSites) settled(t *testing.T, principal string, acls []kfake.ACL) {
	t.Helper()
	distinct := make(map[kfake.ACL]bool)
	for _, acl := range acls {
		distinct[acl] = true
	}
	require.Eventually(t, func() bool {
		b := kadm.NewACLs().AnyResource().Allow(principal).AllowHosts().Deny().DenyHosts().
			ResourcePatternType(kadm.ACLPatternAny).Operations()
		found, err := s.admin.DescribeACLs(t.Context(), b)
		if err != nil || len(found) == 0 {
			return false
		}
		n := 0
		for _, of := range found {
			n += len(of.Described)
		}
		return n == len(distinct)
	}, 20*time.Second, 10*time.Millisecond)
}

func connect(t *testing.T, brokers []string, config security.Config) error {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	client, err := broker.Connect(ctx, broker.Config{Brokers: brokers, Security: config})
	if err == nil {
		client.Close()
	}
	return err
}

func requireUntrusted(t *testing.T, err error, want ...string) {
	t.Helper()
	require.ErrorIs(t, err, broker.ErrUntrusted)
	for _, text := range want {
		require.ErrorContains(t, err, text)
	}
}

func (s *securedSites) testTLS(t *testing.T) {
	certFile, keyFile := s.Authority.Sign(t, "airport")
	stranger := kafka.NewAuthority(t, "stranger")
	alienCert, alienKey := stranger.Sign(t, "alien")
	with := func(ca, cert, key string) security.Config {
		return security.Config{TLS: true, CAFile: ca, CertFile: cert, KeyFile: key}
	}
	ca := s.Authority.File
	require.NoError(t, connect(t, s.TLS, with(ca, certFile, keyFile)))
	requireUntrusted(t, connect(t, s.TLS, with(ca, "", "")), "the broker wants a certificate of its clients; set Security.CertFile")
	requireUntrusted(t, connect(t, s.TLS, with(ca, alienCert, alienKey)), "does not accept the certificate in "+alienCert)
	requireUntrusted(t, connect(t, s.TLS, with(stranger.File, certFile, keyFile)), "not signed by an authority in "+stranger.File)
	require.ErrorContains(t, connect(t, s.TLS, security.Config{}), "set Security.TLS")
	require.ErrorContains(t, connect(t, s.Root, with(ca, certFile, keyFile)), "if the broker does not speak TLS on this port, give another one")

	// Permissions are given to the subject of the certificate.
	topic := "airport.by-certificate"
	config := broker.Config{Brokers: s.TLS, Security: with(ca, certFile, keyFile)}
	client, err := broker.Connect(t.Context(), config)
	require.NoError(t, err)
	defer client.Close()
	spec := broker.TopicSpec{Name: topic, Partitions: 1, Kind: broker.EventLog}
	require.ErrorContains(t, client.EnsureTopics(t.Context(), spec), "TOPIC_AUTHORIZATION_FAILED")
	b := kadm.NewACLs().Allow("User:CN=airport").AllowHosts("*").ResourcePatternType(kadm.ACLPatternLiteral).
		Operations(kadm.OpCreate, kadm.OpDescribe, kadm.OpDescribeConfigs).Topics(topic)
	_, err = s.admin.CreateACLs(t.Context(), b)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return client.EnsureTopics(t.Context(), spec) == nil }, 20*time.Second, 10*time.Millisecond)
}

func (s *securedSites) testSASL(t *testing.T) {
	s.addUser(t, "short", "two", kadm.ScramSha256)
	s.addUser(t, "long", "three", kadm.ScramSha512)
	for _, user := range []struct {
		mechanism      security.Mechanism
		name, password string
	}{{security.Plain, "plain", "one"}, {security.ScramSHA256, "short", "two"}, {security.ScramSHA512, "long", "three"}} {
		t.Run(string(user.mechanism), func(t *testing.T) {
			config := security.Config{TLS: true, CAFile: s.Authority.File, Mechanism: user.mechanism, User: user.name, Password: user.password}
			require.Eventually(t, func() bool { return connect(t, s.SASL, config) == nil }, 20*time.Second, 10*time.Millisecond)

			wrong := config
			wrong.Password = "wrong"
			requireUntrusted(t, connect(t, s.SASL, wrong), `"`+user.name+`"`, "correct user")
			wrong = config
			wrong.User = "nobody"
			requireUntrusted(t, connect(t, s.SASL, wrong), `"nobody"`, "correct user")
		})
	}
	t.Run(string(security.OAuthBearer), func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "token")
		config := security.Config{TLS: true, CAFile: s.Authority.File, Mechanism: security.OAuthBearer, TokenFile: file}
		require.NoError(t, os.WriteFile(file, unsignedToken(t, "airport", time.Now().Add(time.Hour)), 0o600))
		require.NoError(t, connect(t, s.SASL, config))
		require.NoError(t, os.WriteFile(file, unsignedToken(t, "airport", time.Now().Add(-time.Hour)), 0o600))
		requireUntrusted(t, connect(t, s.SASL, config), "the broker refuses the token")
	})
	t.Run("no mechanism", func(t *testing.T) {
		require.ErrorContains(t, connect(t, s.SASL, security.Config{TLS: true, CAFile: s.Authority.File}), "set Security.Mechanism")
	})
}

// unsignedToken makes a JWS that says who it is for and needs no key.
func unsignedToken(t *testing.T, subject string, expires time.Time) []byte {
	t.Helper()
	part := func(v any) string {
		data, err := json.Marshal(v)
		require.NoError(t, err)
		return base64.RawURLEncoding.EncodeToString(data)
	}
	return []byte(part(map[string]string{"alg": "none"}) + "." +
		part(map[string]any{"sub": subject, "iat": expires.Add(-2 * time.Hour).Unix(), "exp": expires.Unix()}) + ".")
}
