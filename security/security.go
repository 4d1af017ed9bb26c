// Package security says how the connections to a Kafka cluster are protected: encrypted with TLS, authenticated with a
// client certificate or with SASL. The Config of processors, views and edge each have a field for it:
//
//	processors.Config{
//		Brokers: []string{"kafka-1:9093"},
//		Security: security.Config{
//			TLS: true, CAFile: "/etc/millrace/ca.pem",
//			Mechanism: security.ScramSHA512, User: "airport", PasswordFile: "/run/secrets/kafka",
//		},
//	}
//
// The package holds the settings and nothing else. What an application must be allowed to do once it is authenticated
// is in docs/security.md.
package security

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
)

// Mechanism is a SASL mechanism, a way to authenticate to a broker. The values are the names that brokers use.
type Mechanism string

const (
	// Plain sends user and password as they are. Use it with TLS only.
	Plain Mechanism = "PLAIN"
	// ScramSHA256 proves knowledge of the password without sending it.
	ScramSHA256 Mechanism = "SCRAM-SHA-256"
	// ScramSHA512 is ScramSHA256 with the longer hash.
	ScramSHA512 Mechanism = "SCRAM-SHA-512"
	// OAuthBearer sends a token from an identity provider as it is. Use it with TLS only.
	OAuthBearer Mechanism = "OAUTHBEARER"
)

// Mechanisms returns all mechanisms.
func Mechanisms() []Mechanism { return []Mechanism{Plain, ScramSHA256, ScramSHA512, OAuthBearer} }

// Config says how connections to brokers are protected. The zero value is neither encryption nor authentication. It
// prints without its secrets.
//
// Files are PEM where they hold certificates or keys. Those with credentials (certificate, key, password, token) are
// read again for every new connection, so that they can be renewed while the program runs; CAFile is read once.
type Config struct {
	// TLS encrypts the connections and checks that the brokers are who they claim to be.
	TLS bool

	// CAFile holds the certificates of the authorities that may have signed the brokers' certificates. The default is
	// the authorities that the operating system trusts. Needs TLS.
	CAFile string

	// CertFile and KeyFile are this program's own certificate, with the intermediate ones after it, and its private
	// key, for brokers that authenticate their clients by certificate (mTLS). Set both or none. They need TLS.
	CertFile, KeyFile string

	// ServerName is the name that the brokers' certificates must be for. The default is the host of the connection; set
	// it if the brokers are reached under other names than their certificates contain. Needs TLS.
	ServerName string

	// Mechanism is the SASL mechanism to authenticate with. Empty is none.
	Mechanism Mechanism

	// User is the user to authenticate as, with Plain, ScramSHA256 and ScramSHA512.
	User string

	// Password is the password of User. Prefer PasswordFile: a file can be renewed and does not appear in a dump.
	Password string `json:"-"`

	// PasswordFile holds the password of User; white space at its end is not part of it. Set it or Password.
	PasswordFile string

	// Token returns a token for OAuthBearer. It is called for every new connection and when the broker asks for a new
	// authentication, possibly by several goroutines at once, and should return at once, from a cache: its context ends
	// with the dial timeout.
	Token func(context.Context) (string, error) `json:"-"`

	// TokenFile holds a token for OAuthBearer, which another program renews; white space at its end is not part of it.
	// Set it or Token.
	TokenFile string
}

// Validate reports all contradictory and incomplete settings. It reads no file; a file that cannot be read is reported
// when a client connects.
func (c Config) Validate() error {
	var problems []error
	fault := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }

	if !c.TLS {
		for _, field := range []struct{ name, value string }{
			{"CAFile", c.CAFile}, {"CertFile", c.CertFile}, {"KeyFile", c.KeyFile}, {"ServerName", c.ServerName},
		} {
			if field.value != "" {
				fault("Security.%s is %q, but connections are not encrypted; set Security.TLS, or leave %s empty", field.name, field.value, field.name)
			}
		}
	}
	switch {
	case c.CertFile != "" && c.KeyFile == "":
		fault("Security.CertFile is %q, but there is no key to it; set Security.KeyFile to the file with its private key", c.CertFile)
	case c.CertFile == "" && c.KeyFile != "":
		fault("Security.KeyFile is %q, but there is no certificate to it; set Security.CertFile to the file with the certificate", c.KeyFile)
	}
	problems = append(problems, c.validateSASL()...)
	return errors.Join(problems...)
}

func (c Config) validateSASL() (problems []error) {
	fault := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	set := map[string]bool{
		"User": c.User != "", "Password": c.Password != "", "PasswordFile": c.PasswordFile != "",
		"Token": c.Token != nil, "TokenFile": c.TokenFile != "",
	}
	useless := func(why string, fields ...string) {
		for _, field := range fields {
			if set[field] {
				fault("Security.%s is set, but %s; correct Security.Mechanism, or leave %s empty", field, why, field)
			}
		}
	}
	switch c.Mechanism {
	case "":
		useless("no SASL mechanism is", "User", "Password", "PasswordFile", "Token", "TokenFile")
	case Plain, ScramSHA256, ScramSHA512:
		if !set["User"] {
			fault("Security.User is empty; %s needs the name of a user", c.Mechanism)
		}
		if set["Password"] == set["PasswordFile"] {
			fault("Security.Password and Security.PasswordFile: %s needs one of them, but %s", c.Mechanism, bothOrNone(set["Password"]))
		}
		useless(string(c.Mechanism)+" takes a user and a password", "Token", "TokenFile")
	case OAuthBearer:
		if set["Token"] == set["TokenFile"] {
			fault("Security.Token and Security.TokenFile: %s needs one of them, but %s", c.Mechanism, bothOrNone(set["Token"]))
		}
		useless(string(c.Mechanism)+" takes a token", "User", "Password", "PasswordFile")
	default:
		names := make([]string, 0, len(Mechanisms()))
		for _, mechanism := range Mechanisms() {
			names = append(names, string(mechanism))
		}
		near := ""
		if upper := Mechanism(strings.ToUpper(string(c.Mechanism))); slices.Contains(Mechanisms(), upper) {
			near = fmt.Sprintf(" (did you mean %s?)", upper)
		}
		fault("Security.Mechanism is %q%s; give one of %s", c.Mechanism, near, strings.Join(names, ", "))
	}
	return problems
}

func bothOrNone(both bool) string {
	if both {
		return "both are set; leave one empty"
	}
	return "none is set; set one"
}

// String describes in a few words how connections are protected. It contains no secret.
func (c Config) String() string {
	parts := []string{"plaintext"}
	if c.TLS {
		parts[0] = "TLS"
	}
	if c.CertFile != "" {
		parts = append(parts, "certificate "+c.CertFile)
	}
	if c.Mechanism != "" {
		parts = append(parts, strings.TrimSpace(string(c.Mechanism)+" "+c.User))
	}
	return strings.Join(parts, ", ")
}

// GoString is String, so that %#v prints no secret either.
func (c Config) GoString() string { return "security.Config{" + c.String() + "}" }

// LogValue is String, so that a log contains no secret either.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }
