package broker

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ErrUntrusted is wrapped by the error of Connect when a broker answers, but one side does not accept the identity of
// the other, or the two do not agree on a way to prove it.
var ErrUntrusted = errors.New("no trusted connection")

// explain returns the remedy for err, an error of Connect, and its kind: ErrUnreachable or ErrUntrusted. The remedy is
// "" if err has nothing to do with security. Connect fails at once in both cases, because the next attempt would fail
// the same way.
func (c Config) explain(err error) (remedy string, kind error) {
	if remedy := c.tlsRemedy(err); remedy != "" {
		return remedy, ErrUntrusted
	}
	if remedy := c.saslRemedy(err); remedy != "" {
		return remedy, ErrUntrusted
	}
	timeout, is := errors.AsType[net.Error](err)
	_, hungUp := errors.AsType[*kgo.ErrFirstReadEOF](err)
	switch {
	case c.Security.TLS && (hungUp || is && timeout.Timeout()):
		return "start Kafka there or correct the addresses; if the broker does not speak TLS on this port, give another one, and if it wants SASL, set Security.Mechanism", ErrUnreachable
	case hungUp:
		return "correct the addresses, if that is no broker; if it wants TLS on this port, set Security.TLS, and if it wants SASL, set Security.Mechanism", ErrUnreachable
	default:
		return "", ErrUnreachable
	}
}

func (c Config) tlsRemedy(err error) string {
	if _, is := errors.AsType[x509.UnknownAuthorityError](err); is {
		if c.Security.CAFile == "" {
			return "the authority that signed the certificate of the broker is not among those that this system trusts; set Security.CAFile to its certificate"
		}
		return "the certificate of the broker was not signed by an authority in " + c.Security.CAFile + "; add that authority to Security.CAFile"
	}
	if _, is := errors.AsType[x509.HostnameError](err); is {
		return "connect to a name that the certificate of the broker is for, or set Security.ServerName to one"
	}
	if invalid, is := errors.AsType[x509.CertificateInvalidError](err); is {
		if invalid.Reason == x509.Expired {
			return "renew the certificate of the broker, or correct the clock"
		}
		return "replace the certificate of the broker"
	}
	if _, is := errors.AsType[tls.RecordHeaderError](err); is {
		return "the broker does not speak TLS on this port; give another port, or unset Security.TLS"
	}
	// Alerts of the other side have no exported type.
	if alert, is := errors.AsType[*net.OpError](err); is && alert.Op == "remote error" {
		const modern = "let the broker speak TLS 1.2 or 1.3, with a cipher suite that is not outdated"
		switch text := alert.Err.Error(); {
		case strings.Contains(text, "certificate"):
		case strings.Contains(text, "handshake failure") && c.Security.CertFile == "": // TLS 1.2 has no alert of its own for it
			return "the broker wants a certificate of its clients; set Security.CertFile and Security.KeyFile; or " + modern
		default:
			return modern
		}
		if c.Security.CertFile == "" {
			return "the broker wants a certificate of its clients; set Security.CertFile and Security.KeyFile"
		}
		return "the broker does not accept the certificate in " + c.Security.CertFile + "; give one of an authority that the broker trusts"
	}
	if strings.Contains(err.Error(), "plaintext connection speaking to a tls endpoint") { // franz-go has no type for it
		return "the broker wants TLS on this port; set Security.TLS"
	}
	return ""
}

func (c Config) saslRemedy(err error) string {
	s := c.Security
	if s.Mechanism == "" {
		return ""
	}
	_, refused := errors.AsType[*refusedToken](err)
	switch {
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		return fmt.Sprintf("the broker does not offer %s on this port; set Security.Mechanism to one of its sasl.enabled.mechanisms", s.Mechanism)
	case errors.Is(err, kerr.IllegalSaslState):
		return "the broker does not authenticate on this port; give another port, or unset Security.Mechanism"
	case refused, errors.Is(err, kerr.SaslAuthenticationFailed) && s.User == "":
		return "give a token of the issuer and for the audience that the broker expects"
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return fmt.Sprintf("correct user %q and password, or create the user with %s credentials", s.User, s.Mechanism)
	case errors.Is(err, io.EOF):
		// A broker may also just close the connection.
		return fmt.Sprintf("the broker ended the connection during the authentication with %s as %q: correct the credentials", s.Mechanism, s.User)
	default:
		return ""
	}
}

// denied completes err if it is a refusal of the broker's authorizer: it adds which operation must be allowed, on which
// resource and for which principal, because brokers only name the kind of resource. It returns other errors as they
// are.
func (c *Client) denied(err error, operation, resource string) error {
	if !IsDenied(err) {
		return err
	}
	return fmt.Errorf("%w; allow %s on %s to %s", err, operation, resource, c.protection.principal)
}

// IsDenied reports whether err is a refusal of the broker's authorizer: an operator must allow something.
func IsDenied(err error) bool {
	return slices.ContainsFunc([]error{
		kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed,
		kerr.TransactionalIDAuthorizationFailed, kerr.ClusterAuthorizationFailed,
	}, func(denial error) bool { return errors.Is(err, denial) })
}
