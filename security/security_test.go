package security_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/security"
)

func token(context.Context) (string, error) { return "", nil }

func TestConfig_Validate(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]security.Config{
		"zero":          {},
		"tls":           {TLS: true},
		"mtls":          {TLS: true, CAFile: "ca", CertFile: "cert", KeyFile: "key", ServerName: "kafka"},
		"plain":         {Mechanism: security.Plain, User: "u", Password: "p"},
		"password file": {TLS: true, Mechanism: security.ScramSHA256, User: "u", PasswordFile: "f"},
		"mtls and sasl": {TLS: true, CertFile: "cert", KeyFile: "key", Mechanism: security.ScramSHA512, User: "u", Password: "p"},
		"token":         {TLS: true, Mechanism: security.OAuthBearer, Token: token},
		"token file":    {TLS: true, Mechanism: security.OAuthBearer, TokenFile: "f"},
	} {
		require.NoError(t, config.Validate(), name)
	}
	for name, test := range map[string]struct {
		config security.Config
		want   []string
	}{
		"files without tls": {
			security.Config{CAFile: "/ca.pem", ServerName: "kafka"},
			[]string{`Security.CAFile is "/ca.pem"`, `Security.ServerName is "kafka"`, "set Security.TLS"},
		},
		"certificate without key": {
			security.Config{TLS: true, CertFile: "/cert.pem"},
			[]string{`Security.CertFile is "/cert.pem", but there is no key to it; set Security.KeyFile`},
		},
		"key without certificate": {
			security.Config{TLS: true, KeyFile: "/key.pem"},
			[]string{`Security.KeyFile is "/key.pem", but there is no certificate to it; set Security.CertFile`},
		},
		"unknown mechanism": {
			security.Config{Mechanism: "GSSAPI"},
			[]string{`Security.Mechanism is "GSSAPI"; give one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER`},
		},
		"misspelt mechanism": {
			security.Config{Mechanism: "scram-sha-256"},
			[]string{"(did you mean SCRAM-SHA-256?)"},
		},
		"no user, no password": {
			security.Config{Mechanism: security.Plain},
			[]string{"Security.User is empty; PLAIN needs the name of a user", "Security.PasswordFile: PLAIN needs one of them, but none is set"},
		},
		"two passwords": {
			security.Config{Mechanism: security.Plain, User: "u", Password: "p", PasswordFile: "f"},
			[]string{"but both are set; leave one empty"},
		},
		"user without mechanism": {
			security.Config{User: "u", Password: "p"},
			[]string{"Security.User is set, but no SASL mechanism is", "Security.Password is set"},
		},
		"token for scram": {
			security.Config{Mechanism: security.ScramSHA512, User: "u", Password: "p", Token: token},
			[]string{"Security.Token is set, but SCRAM-SHA-512 takes a user and a password"},
		},
		"password for oauth": {
			security.Config{Mechanism: security.OAuthBearer, User: "u", Password: "p"},
			[]string{"Security.TokenFile: OAUTHBEARER needs one of them, but none is set", "Security.User is set, but OAUTHBEARER takes a token"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := test.config.Validate()
			require.Error(t, err)
			for _, want := range test.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
}

func TestConfig_printsNoSecret(t *testing.T) {
	t.Parallel()
	const secret = "sesame"
	config := security.Config{TLS: true, Mechanism: security.Plain, User: "airport", Password: secret}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("start", slog.Any("security", config))
	marshalled, err := json.Marshal(config)
	require.NoError(t, err)
	outer := struct{ Security security.Config }{config}
	for _, printed := range []string{
		fmt.Sprint(config), fmt.Sprintf("%+v", config), fmt.Sprintf("%#v", config), config.GoString(),
		fmt.Sprintf("%+v", outer), fmt.Sprintf("%#v", outer), log.String(), string(marshalled),
	} {
		require.Contains(t, printed, "airport")
		require.NotContains(t, printed, secret)
	}
}

func ExampleConfig() {
	fmt.Println(security.Config{
		TLS: true, CAFile: "/etc/millrace/ca.pem",
		Mechanism: security.ScramSHA512, User: "airport", PasswordFile: "/run/secrets/kafka",
	})
	fmt.Println(security.Config{TLS: true, CertFile: "airport.pem"}.Validate())
	// Output:
	// TLS, SCRAM-SHA-512 airport
	// Security.CertFile is "airport.pem", but there is no key to it; set Security.KeyFile to the file with its private key
}
