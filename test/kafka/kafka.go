// Package kafka gives tests a real Apache Kafka broker.
//
// The script kafka.sh beside this file starts one from Maven Central. Tests that need it ask [Brokers] for its address
// and are skipped where there is none, so that go test works on a machine without Java.
package kafka

import (
	"os"
	"strings"
	"testing"
)

// Env names the environment variable with the addresses of the broker, as host:port, several separated by commas.
const Env = "MILLRACE_KAFKA"

// Brokers returns the addresses of the real broker to test with. It skips the test if there is none.
func Brokers(t testing.TB) []string {
	t.Helper()
	addrs := os.Getenv(Env)
	if addrs == "" {
		t.Skipf("needs a real Apache Kafka: export %s=$(test/kafka/kafka.sh start DIR PORT)", Env)
	}
	return strings.Split(addrs, ",")
}
