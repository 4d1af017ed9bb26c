package broker

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/seed84377926/millrace/security"
)

// protection is a security.Config, translated for franz-go.
type protection struct {
	options   []kgo.Opt
	principal string // the principal of this program at the brokers, if it is known here
}

// protect reads the files of c.Security and translates it. Everything that would fail at every connection fails here:
// files that cannot be read, a certificate that has expired.
func (c Config) protect(ctx context.Context) (protection, error) {
	p := protection{principal: "User:ANONYMOUS"}
	s := c.Security
	if s.TLS {
		config, err := tlsConfig(s)
		if err != nil {
			return p, fmt.Errorf("broker: %w", err)
		}
		p.options = append(p.options, kgo.DialTLSConfig(config))
	}
	if s.CertFile != "" {
		certificate, err := clientCertificate(s, time.Now())
		if err != nil {
			return p, fmt.Errorf("broker: %w", err)
		}
		p.principal = "User:" + certificate.Leaf.Subject.String()
	}
	if s.Mechanism == "" {
		return p, nil
	}
	credentials := credentials{config: s, timeout: c.DialTimeout}
	if err := credentials.try(ctx); err != nil {
		return p, fmt.Errorf("broker: %w", err)
	}
	p.options = append(p.options, kgo.SASL(credentials.mechanism()))
	p.principal = "User:" + cmp.Or(s.User, "(the subject of the token)")
	if !s.TLS {
		c.Logger.WarnContext(ctx, "the connection to the brokers is authenticated, but not encrypted: whoever listens reads along and may learn the credentials; set Security.TLS")
	}
	return p, nil
}

// tlsConfig returns the configuration of all connections. It reads the client's certificate again for each of them, so
// that the certificate can be renewed.
func tlsConfig(s security.Config) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: s.ServerName}
	if s.CAFile != "" {
		pem, err := os.ReadFile(s.CAFile)
		if err != nil {
			return nil, fmt.Errorf("Security.CAFile: %w; give the file with the certificates of the authorities", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("Security.CAFile: %s holds no certificate; give a file in PEM format, with BEGIN CERTIFICATE", s.CAFile)
		}
	}
	if s.CertFile != "" {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return clientCertificate(s, time.Now())
		}
	}
	return config, nil
}

// clientCertificate reads the certificate of the client and its key.
func clientCertificate(s security.Config, now time.Time) (*tls.Certificate, error) {
	for _, file := range []struct{ field, name string }{{"CertFile", s.CertFile}, {"KeyFile", s.KeyFile}} {
		if _, err := os.ReadFile(file.name); err != nil {
			return nil, fmt.Errorf("Security.%s: %w; give a file that this process can read", file.field, err)
		}
	}
	certificate, err := tls.LoadX509KeyPair(s.CertFile, s.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("Security.CertFile %s with Security.KeyFile %s: %w; give a certificate and its own key, both in PEM format and the key not encrypted",
			s.CertFile, s.KeyFile, err)
	}
	leaf := certificate.Leaf
	switch {
	case now.After(leaf.NotAfter):
		return nil, fmt.Errorf("Security.CertFile: the certificate %s in %s expired on %s; renew it", leaf.Subject, s.CertFile, leaf.NotAfter.Format(time.DateTime))
	case now.Before(leaf.NotBefore):
		return nil, fmt.Errorf("Security.CertFile: the certificate %s in %s is valid only from %s on; correct the clock, or renew it", leaf.Subject, s.CertFile, leaf.NotBefore.Format(time.DateTime))
	}
	return &certificate, nil
}

// credentials returns the credentials to franz-go, which asks for them at each connection and whenever a broker wants a
// new authentication.
type credentials struct {
	config  security.Config
	timeout time.Duration // of Config.Token; franz-go sets none
}

// try reads the credentials once, to check that they can be read.
func (c credentials) try(ctx context.Context) error {
	if c.config.Mechanism == security.OAuthBearer {
		_, err := c.token(ctx)
		return err
	}
	_, err := c.password()
	return err
}

func (c credentials) mechanism() sasl.Mechanism {
	scrammed := func(context.Context) (scram.Auth, error) {
		password, err := c.password()
		return scram.Auth{User: c.config.User, Pass: password}, err
	}
	switch c.config.Mechanism {
	case security.ScramSHA256:
		return scram.Sha256(scrammed)
	case security.ScramSHA512:
		return scram.Sha512(scrammed)
	case security.OAuthBearer:
		return bearer{oauth.Oauth(func(ctx context.Context) (oauth.Auth, error) {
			token, err := c.token(ctx)
			return oauth.Auth{Token: token}, err
		})}
	default: // Validate knows no other
		return plain.Plain(func(context.Context) (plain.Auth, error) {
			password, err := c.password()
			return plain.Auth{User: c.config.User, Pass: password}, err
		})
	}
}

func (c credentials) password() (string, error) {
	if c.config.PasswordFile == "" {
		return c.config.Password, nil
	}
	return readSecret("PasswordFile", c.config.PasswordFile)
}

func (c credentials) token(ctx context.Context) (string, error) {
	if c.config.Token == nil {
		return readSecret("TokenFile", c.config.TokenFile)
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	token, err := c.config.Token(ctx)
	if err != nil {
		return "", fmt.Errorf("Security.Token: %w", err)
	}
	if token == "" {
		return "", errors.New("Security.Token returned an empty token; return an error if there is none")
	}
	return token, nil
}

// readSecret reads a file with one secret. Editors and templates often end it with a new line, which is removed.
func readSecret(field, file string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("Security.%s: %w; give a file that this process can read", field, err)
	}
	secret := strings.TrimRight(string(data), " \t\r\n")
	if secret == "" {
		return "", fmt.Errorf("Security.%s: %s is empty; write the secret into it", field, file)
	}
	return secret, nil
}

// bearer is OAUTHBEARER that reports why a broker refuses a token. The broker says so in its challenge (RFC 7628,
// 3.2.3), which franz-go does not understand.
type bearer struct{ sasl.Mechanism }

// Authenticate implements sasl.Mechanism.
func (b bearer) Authenticate(ctx context.Context, host string) (sasl.Session, []byte, error) {
	session, first, err := b.Mechanism.Authenticate(ctx, host)
	return bearerSession{session}, first, err
}

type bearerSession struct{ sasl.Session }

// Challenge implements sasl.Session.
func (s bearerSession) Challenge(answer []byte) (bool, []byte, error) {
	if len(answer) > 0 {
		return false, nil, &refusedToken{string(answer)}
	}
	return s.Session.Challenge(answer)
}

// refusedToken is the error of a broker that does not accept a token.
type refusedToken struct{ answer string }

func (e *refusedToken) Error() string { return "the broker refuses the token: " + e.answer }
