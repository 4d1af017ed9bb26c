package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed84377926/millrace/security"
)

// securityFlags adds the flags that protect the connection. No flag takes a password itself, since every user of the
// machine can read the arguments of a process.
func (o *options) securityFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&o.security.TLS, "tls", false, "encrypt the connection; the other --tls flags imply it")
	flags.StringVar(&o.security.CAFile, "tls-ca", "", "file with the certificate authorities of the brokers (default: the system's)")
	flags.StringVar(&o.security.CertFile, "tls-cert", "", "file with the client certificate")
	flags.StringVar(&o.security.KeyFile, "tls-key", "", "file with the private key of --tls-cert")
	flags.StringVar(&o.security.ServerName, "tls-server-name", "", "name in the certificates of the brokers (default: the host of the connection)")
	flags.StringVar((*string)(&o.security.Mechanism), "sasl-mechanism", "", "how to authenticate: "+mechanismNames())
	flags.StringVar(&o.security.User, "sasl-user", "", "user to authenticate as")
	flags.StringVar(&o.security.PasswordFile, "sasl-password-file", "", "file with the password of --sasl-user")
	flags.StringVar(&o.security.TokenFile, "sasl-token-file", "", "file with the token for OAUTHBEARER")
}

func mechanismNames() string {
	var names []string
	for _, mechanism := range security.Mechanisms() {
		names = append(names, string(mechanism))
	}
	return strings.Join(names, ", ")
}

// checkSecurity rejects combinations of flags that make no sense. Its errors name the flags.
func (o *options) checkSecurity(cmd *cobra.Command) error {
	s := &o.security
	s.TLS = s.TLS || s.CAFile != "" || s.CertFile != "" || s.KeyFile != "" || s.ServerName != ""
	s.Mechanism = security.Mechanism(strings.ToUpper(string(s.Mechanism)))
	wrong := func(format string, args ...any) error { return &usageError{cmd, fmt.Errorf(format, args...)} }
	switch {
	case (s.CertFile == "") != (s.KeyFile == ""):
		return wrong("--tls-cert and --tls-key go together; give both or none")
	case s.Mechanism == "" && (s.User != "" || s.PasswordFile != "" || s.TokenFile != ""):
		return wrong("--sasl-user, --sasl-password-file and --sasl-token-file need --sasl-mechanism; give %s", mechanismNames())
	case s.Mechanism == "":
		return nil
	case !slices.Contains(security.Mechanisms(), s.Mechanism):
		return wrong("--sasl-mechanism is %q; give one of %s", s.Mechanism, mechanismNames())
	case s.Mechanism == security.OAuthBearer && (s.TokenFile == "" || s.User != "" || s.PasswordFile != ""):
		return wrong("--sasl-mechanism %s needs --sasl-token-file, and neither --sasl-user nor --sasl-password-file", s.Mechanism)
	case s.Mechanism != security.OAuthBearer && (s.User == "" || s.PasswordFile == "" || s.TokenFile != ""):
		return wrong("--sasl-mechanism %s needs --sasl-user and --sasl-password-file, and no --sasl-token-file", s.Mechanism)
	}
	return nil
}
