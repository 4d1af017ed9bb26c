package broker

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed84377926/millrace/internal/brokertest"
	"github.com/seed84377926/millrace/security"
)

// authority signs certificates for a test.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // its certificate
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	var err error
	a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	require.NoError(t, err)
	a.cert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	a.file = a.write("ca.pem", "CERTIFICATE", der)
	return a
}

func (a *authority) write(name, kind string, der []byte) string {
	a.t.Helper()
	file := filepath.Join(a.dir, name)
	require.NoError(a.t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	return file
}

// sign writes a certificate for a name, and for 127.0.0.1 if it is a server's, which expires at a time.
func (a *authority) sign(name string, server bool, expires time.Time) (certFile, keyFile string) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: expires,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if server {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		template.DNSNames = []string{name}
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	require.NoError(a.t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(a.t, err)
	return a.write(name+".pem", "CERTIFICATE", der), a.write(name+"-key.pem", "PRIVATE KEY", keyDER)
}

// server returns what a broker listens with.
func (a *authority) server(name string, expires time.Time) *tls.Config {
	a.t.Helper()
	certificate, err := tls.LoadX509KeyPair(a.sign(name, true, expires))
	require.NoError(a.t, err)
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}}
}

// wantCertificates has a broker ask its clients for certificates of the authority.
func (a *authority) wantCertificates(server *tls.Config) *tls.Config {
	server.ClientCAs = x509.NewCertPool()
	server.ClientCAs.AddCert(a.cert)
	server.ClientAuth = tls.RequireAndVerifyClientCert
	return server
}

func startFake(t *testing.T, options ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, options...)...)
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	return cluster
}

// connectSecurely connects to the cluster, and if that works, uses the connection and makes another one.
func connectSecurely(t *testing.T, cluster *kfake.Cluster, config security.Config) error {
	t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	client, err := Connect(ctx, Config{Brokers: cluster.ListenAddrs(), Security: config})
	if err != nil {
		require.Less(t, time.Since(began), 5*time.Second, "it must fail at once")
		return err
	}
	defer client.Close()
	require.NoError(t, client.EnsureTopics(ctx, TopicSpec{Name: "secure", Partitions: 1, Kind: EventLog}))
	other, err := kgo.NewClient(client.Options()...)
	require.NoError(t, err)
	defer other.Close()
	require.NoError(t, other.ProduceSync(ctx, &kgo.Record{Topic: "secure", Value: []byte("v")}).FirstErr())
	return nil
}

// secret writes a file with one secret.
func secret(t *testing.T, value string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(file, []byte(value), 0o600))
	return file
}

func requireDistrust(t *testing.T, err error, want ...string) {
	t.Helper()
	require.ErrorIs(t, err, ErrUntrusted)
	require.NotErrorIs(t, err, ErrUnreachable)
	for _, text := range want {
		require.ErrorContains(t, err, text)
	}
}

func TestSecurity_tls(t *testing.T) {
	later, earlier := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	ca, stranger := newAuthority(t, "ours"), newAuthority(t, "stranger")
	cluster := startFake(t, kfake.TLS(ca.server("kafka", later)))

	require.NoError(t, connectSecurely(t, cluster, security.Config{TLS: true, CAFile: ca.file}))
	require.NoError(t, connectSecurely(t, cluster, security.Config{TLS: true, CAFile: ca.file, ServerName: "kafka"}))

	for _, test := range []struct {
		name   string
		config security.Config
		want   []string
	}{
		{"system roots", security.Config{TLS: true}, []string{"unknown authority", "not among those that this system trusts; set Security.CAFile"}},
		{"other authority", security.Config{TLS: true, CAFile: stranger.file}, []string{"unknown authority", "not signed by an authority in " + stranger.file}},
		{"other name", security.Config{TLS: true, CAFile: ca.file, ServerName: "elsewhere"}, []string{"elsewhere", "set Security.ServerName"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			requireDistrust(t, connectSecurely(t, cluster, test.config), append(test.want, cluster.ListenAddrs()[0])...)
		})
	}
	t.Run("expired server", func(t *testing.T) {
		expired := startFake(t, kfake.TLS(ca.server("old", earlier)))
		requireDistrust(t, connectSecurely(t, expired, security.Config{TLS: true, CAFile: ca.file}), "expired", "renew the certificate of the broker")
	})
	t.Run("old protocol", func(t *testing.T) {
		server := ca.server("ancient", later)
		server.MinVersion, server.MaxVersion = tls.VersionTLS11, tls.VersionTLS11
		ancient := startFake(t, kfake.TLS(server))
		requireDistrust(t, connectSecurely(t, ancient, security.Config{TLS: true, CAFile: ca.file}), "protocol version", "let the broker speak TLS 1.2 or 1.3")
	})
	t.Run("no tls", func(t *testing.T) {
		err := connectSecurely(t, cluster, security.Config{})
		require.ErrorContains(t, err, cluster.ListenAddrs()[0])
		require.ErrorContains(t, err, "set Security.TLS")
	})
	// kfake waits for the rest of what it takes for a very long request. Kafka hangs up.
	t.Run("plaintext broker", func(t *testing.T) {
		plaintext := startFake(t)
		_, err := Connect(t.Context(), Config{
			Brokers: plaintext.ListenAddrs(), DialTimeout: 200 * time.Millisecond, Security: security.Config{TLS: true, CAFile: ca.file},
		})
		require.ErrorIs(t, err, ErrUnreachable)
		require.ErrorContains(t, err, "if the broker does not speak TLS on this port, give another one")
	})
}

func TestSecurity_clientCertificate(t *testing.T) {
	later, earlier := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	ca, stranger := newAuthority(t, "ours"), newAuthority(t, "stranger")
	certFile, keyFile := ca.sign("airport", false, later)
	alienCert, alienKey := stranger.sign("alien", false, later)
	oldCert, oldKey := ca.sign("old", false, earlier)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			server := ca.wantCertificates(ca.server("kafka", later))
			server.MinVersion, server.MaxVersion = version, version
			cluster := startFake(t, kfake.TLS(server))
			with := func(cert, key string) security.Config {
				return security.Config{TLS: true, CAFile: ca.file, CertFile: cert, KeyFile: key}
			}
			require.NoError(t, connectSecurely(t, cluster, with(certFile, keyFile)))
			requireDistrust(t, connectSecurely(t, cluster, with("", "")), "the broker wants a certificate of its clients; set Security.CertFile")
			requireDistrust(t, connectSecurely(t, cluster, with(alienCert, alienKey)), "does not accept the certificate in "+alienCert)

			err := connectSecurely(t, cluster, with(oldCert, oldKey))
			require.ErrorContains(t, err, "Security.CertFile: the certificate CN=old in "+oldCert+" expired on")
			require.ErrorContains(t, err, "renew it")
		})
	}
}

// A certificate that is renewed while the program runs is used for the next connection.
func TestSecurity_renewedCertificate(t *testing.T) {
	ca := newAuthority(t, "ours")
	server := ca.wantCertificates(ca.server("kafka", time.Now().Add(time.Hour)))
	var seen atomic.Pointer[time.Time]
	server.VerifyConnection = func(state tls.ConnectionState) error {
		seen.Store(&state.PeerCertificates[0].NotAfter)
		return nil
	}
	cluster := startFake(t, kfake.TLS(server))
	certFile, keyFile := ca.sign("airport", false, time.Now().Add(time.Hour))
	client, err := Connect(t.Context(), Config{Brokers: cluster.ListenAddrs(), Security: security.Config{TLS: true, CAFile: ca.file, CertFile: certFile, KeyFile: keyFile}})
	require.NoError(t, err)
	defer client.Close()
	first := seen.Load()

	ca.sign("airport", false, time.Now().Add(2*time.Hour)) // into the same files
	other, err := kgo.NewClient(client.Options()...)
	require.NoError(t, err)
	defer other.Close()
	require.NoError(t, other.Ping(t.Context()))
	require.Greater(t, seen.Load().Sub(*first), time.Minute)
}

func TestSecurity_badFiles(t *testing.T) {
	ca := newAuthority(t, "ours")
	certFile, _ := ca.sign("one", false, time.Now().Add(time.Hour))
	_, otherKey := ca.sign("two", false, time.Now().Add(time.Hour))
	absent, garbage, blank := filepath.Join(t.TempDir(), "absent"), secret(t, "garbage"), secret(t, " \n")
	for _, test := range []struct {
		name   string
		config security.Config
		want   []string
	}{
		{"no ca", security.Config{TLS: true, CAFile: absent}, []string{"Security.CAFile: ", absent, "no such file", "give the file"}},
		{"bad ca", security.Config{TLS: true, CAFile: garbage}, []string{"Security.CAFile: " + garbage + " holds no certificate; give a file in PEM format"}},
		{"no cert", security.Config{TLS: true, CertFile: absent, KeyFile: otherKey}, []string{"Security.CertFile: ", absent, "no such file"}},
		{"no key", security.Config{TLS: true, CertFile: certFile, KeyFile: absent}, []string{"Security.KeyFile: ", absent, "no such file"}},
		{"other key", security.Config{TLS: true, CertFile: certFile, KeyFile: otherKey}, []string{certFile, otherKey, "give a certificate and its own key"}},
		{"no password", security.Config{Mechanism: security.Plain, User: "u", PasswordFile: absent}, []string{"Security.PasswordFile: ", absent, "no such file"}},
		{"blank password", security.Config{Mechanism: security.Plain, User: "u", PasswordFile: blank}, []string{"Security.PasswordFile: " + blank + " is empty"}},
		{"no token", security.Config{Mechanism: security.OAuthBearer, TokenFile: absent}, []string{"Security.TokenFile: ", absent}},
		{"contradiction", security.Config{CAFile: "ca"}, []string{`Security.CAFile is "ca"`, "set Security.TLS"}},
		{"failing callback", security.Config{
			Mechanism: security.OAuthBearer, Token: func(context.Context) (string, error) { return "", errors.New("the issuer sleeps") },
		}, []string{"Security.Token: the issuer sleeps"}},
		{"empty callback", security.Config{
			Mechanism: security.OAuthBearer, Token: func(context.Context) (string, error) { return "", nil },
		}, []string{"Security.Token returned an empty token"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Connect(t.Context(), Config{Brokers: []string{"127.0.0.1:1"}, Security: test.config})
			for _, want := range test.want {
				require.ErrorContains(t, err, want)
			}
			require.NotErrorIs(t, err, ErrUnreachable, "nobody was connected to")
		})
	}
}

func TestSecurity_sasl(t *testing.T) {
	ca := newAuthority(t, "ours")
	cluster := startFake(t, kfake.TLS(ca.server("kafka", time.Now().Add(time.Hour))), kfake.EnableSASL(),
		kfake.Superuser("PLAIN", "plain", "one"), kfake.Superuser("SCRAM-SHA-256", "short", "two"), kfake.Superuser("SCRAM-SHA-512", "long", "three"))
	for _, user := range []struct {
		mechanism      security.Mechanism
		name, password string
	}{{security.Plain, "plain", "one"}, {security.ScramSHA256, "short", "two"}, {security.ScramSHA512, "long", "three"}} {
		t.Run(string(user.mechanism), func(t *testing.T) {
			config := security.Config{TLS: true, CAFile: ca.file, Mechanism: user.mechanism, User: user.name, Password: user.password}
			require.NoError(t, connectSecurely(t, cluster, config))

			config.Password, config.PasswordFile = "", secret(t, user.password+"\n")
			require.NoError(t, connectSecurely(t, cluster, config))

			config.PasswordFile = secret(t, "wrong")
			requireDistrust(t, connectSecurely(t, cluster, config), `"`+user.name+`"`, "correct the credentials")

			config.User = "nobody"
			requireDistrust(t, connectSecurely(t, cluster, config), `"nobody"`, "correct the credentials")
		})
	}
	t.Run("no mechanism", func(t *testing.T) {
		require.ErrorContains(t, connectSecurely(t, cluster, security.Config{TLS: true, CAFile: ca.file}), "set Security.Mechanism")
	})
	t.Run("mechanism the broker lacks", func(t *testing.T) {
		config := security.Config{TLS: true, CAFile: ca.file, Mechanism: security.OAuthBearer, TokenFile: secret(t, "token")}
		requireDistrust(t, connectSecurely(t, cluster, config), "does not offer OAUTHBEARER", "sasl.enabled.mechanisms")
	})
}

// A broker of Kafka says why it refuses; kfake only hangs up.
func TestSecurity_refusedInWords(t *testing.T) {
	cluster := startFake(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "airport", "x"))
	cluster.ControlKey(int16(kmsg.SASLAuthenticate), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		response := kmsg.NewPtrSASLAuthenticateResponse()
		response.Version = request.GetVersion()
		response.ErrorCode = kerr.SaslAuthenticationFailed.Code
		response.ErrorMessage = new("Authentication failed: Invalid username or password")
		return response, nil, true
	})
	err := connectSecurely(t, cluster, security.Config{Mechanism: security.Plain, User: "airport", Password: "y"})
	requireDistrust(t, err, "Invalid username or password", `correct user "airport" and password, or create the user with PLAIN credentials`)
	require.NotContains(t, err.Error(), `"y"`)
}

// oauthBroker accepts one token at a time. kfake has no OAUTHBEARER of its own.
func oauthBroker(t *testing.T, accepted *atomic.Pointer[string]) *kfake.Cluster {
	cluster := startFake(t)
	cluster.ControlKey(int16(kmsg.SASLHandshake), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		response := kmsg.NewPtrSASLHandshakeResponse()
		response.Version = request.GetVersion()
		if handshake, ok := request.(*kmsg.SASLHandshakeRequest); !ok || handshake.Mechanism != "OAUTHBEARER" {
			response.ErrorCode = kerr.UnsupportedSaslMechanism.Code
		}
		return response, nil, true
	})
	cluster.ControlKey(int16(kmsg.SASLAuthenticate), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		response := kmsg.NewPtrSASLAuthenticateResponse()
		response.Version = request.GetVersion()
		if shown, ok := request.(*kmsg.SASLAuthenticateRequest); !ok || !bytes.Contains(shown.SASLAuthBytes, []byte("auth=Bearer "+*accepted.Load()+"\x01")) {
			response.SASLAuthBytes = []byte(`{"status":"invalid_token"}`)
		}
		return response, nil, true
	})
	return cluster
}

func TestSecurity_oauth(t *testing.T) {
	var accepted atomic.Pointer[string]
	first, second := "first", "second"
	accepted.Store(&first)
	cluster := oauthBroker(t, &accepted)
	var calls atomic.Int32
	callback := func(ctx context.Context) (string, error) {
		calls.Add(1)
		if _, bounded := ctx.Deadline(); !bounded {
			return "", errors.New("no deadline")
		}
		return *accepted.Load(), nil
	}
	require.NoError(t, connectSecurely(t, cluster, security.Config{Mechanism: security.OAuthBearer, Token: callback}))
	require.Greater(t, calls.Load(), int32(2), "it is asked for every connection")

	file := secret(t, "first\n")
	config := security.Config{Mechanism: security.OAuthBearer, TokenFile: file}
	client, err := Connect(t.Context(), Config{Brokers: cluster.ListenAddrs(), Security: config})
	require.NoError(t, err)
	defer client.Close()
	accepted.Store(&second)
	requireDistrust(t, connectSecurely(t, cluster, config), `the broker refuses the token: {"status":"invalid_token"}`, "for the audience that the broker expects")
	require.NoError(t, os.WriteFile(file, []byte(second), 0o600))
	other, err := kgo.NewClient(client.Options()...)
	require.NoError(t, err)
	defer other.Close()
	require.NoError(t, other.Ping(t.Context()), "the file is read again")
}

// A callback that hangs ends with the dial timeout.
func TestSecurity_hangingCallback(t *testing.T) {
	_, err := Connect(t.Context(), Config{
		Brokers: []string{"127.0.0.1:1"}, DialTimeout: time.Millisecond,
		Security: security.Config{Mechanism: security.OAuthBearer, Token: func(ctx context.Context) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		}},
	})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "Security.Token")
}

func TestSecurity_warnsOfPlaintext(t *testing.T) {
	var log brokertest.Log
	cluster := startFake(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "airport", "sesame"))
	client, err := Connect(t.Context(), Config{
		Brokers: cluster.ListenAddrs(), Logger: log.Logger(),
		Security: security.Config{Mechanism: security.Plain, User: "airport", Password: "sesame"},
	})
	require.NoError(t, err)
	client.Close()
	require.Contains(t, log.String(), "authenticated, but not encrypted")
	require.Contains(t, log.String(), "set Security.TLS")
	require.NotContains(t, log.String(), "sesame")
}
