package kafka

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Authority signs certificates for a test. They are valid for an hour.
type Authority struct {
	// File holds its own certificate, in PEM format.
	File string

	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes an authority whose files are in a directory of the test.
func NewAuthority(t testing.TB, name string) *Authority {
	t.Helper()
	a := &Authority{dir: t.TempDir()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	var err error
	a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	require.NoError(t, err)
	a.cert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	a.File = a.write(t, "ca.pem", &pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

// Sign makes a certificate with the given common name, for servers on 127.0.0.1 and for clients. The files are in PEM
// format; the key is not encrypted.
func (a *Authority) Sign(t testing.TB, name string) (certFile, keyFile string) {
	t.Helper()
	cert, key := a.sign(t, name)
	return a.write(t, name+".pem", cert), a.write(t, name+"-key.pem", key)
}

// keystore makes such a certificate as Kafka's keystore, which is one file.
func (a *Authority) keystore(t testing.TB, name string) string {
	t.Helper()
	cert, key := a.sign(t, name)
	return a.write(t, name+"-keystore.pem", key, cert)
}

func (a *Authority) sign(t testing.TB, name string) (cert, key *pem.Block) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, private.Public(), a.key)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return &pem.Block{Type: "CERTIFICATE", Bytes: der}, &pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}
}

func (a *Authority) write(t testing.TB, name string, blocks ...*pem.Block) string {
	t.Helper()
	file := filepath.Join(a.dir, name)
	var text []byte
	for _, block := range blocks {
		text = append(text, pem.EncodeToMemory(block)...)
	}
	require.NoError(t, os.WriteFile(file, text, 0o600))
	return file
}
