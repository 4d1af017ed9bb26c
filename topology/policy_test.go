package topology_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
)

func TestPolicy_saysWhatIsDone(t *testing.T) {
	for _, c := range []struct {
		policy   topology.Policy
		attempts int
		given    bool
		skips    bool
		text     string
	}{
		{topology.Policy{}, 0, false, false, "retry, then stop"},
		{topology.Policy{}.ThenSkip(), 0, false, true, "retry, then skip"},
		{topology.Stop(), 0, true, false, "stop"},
		{topology.Skip(), 0, true, true, "skip"},
		{topology.Retry(1), 1, true, false, "retry once, then stop"},
		{topology.Retry(3).ThenSkip(), 3, true, true, "retry 3 times, then skip"},
	} {
		attempts, given := c.policy.Attempts()
		require.Equal(t, c.attempts, attempts, c.text)
		require.Equal(t, c.given, given, c.text)
		require.Equal(t, c.skips, c.policy.Skips(), c.text)
		require.Equal(t, c.text, c.policy.String())
	}
}

func policed(opts ...topology.BuilderOption) (*topology.Topology, error) {
	b := topology.NewBuilder("app", opts...)
	topology.Source(b, "in", codecs.String, codecs.String).To("out", codecs.String, codecs.String)
	return b.Build()
}

func TestDescribe_showsPoliciesThatAreNotTheDefault(t *testing.T) {
	plain, err := policed()
	require.NoError(t, err)
	require.NotContains(t, plain.Describe(), "Failing records")

	top, err := policed(topology.OnUndecodable(topology.Skip()), topology.OnProduceFailure(topology.Retry(2).ThenSkip()))
	require.NoError(t, err)
	require.Contains(t, top.Describe(), "   Failing records: undecodable: skip; producing: retry 2 times, then skip\n")
	require.Equal(t, topology.Policies{Undecodable: topology.Skip(), Producing: topology.Retry(2).ThenSkip()}, top.Policies())

	top, err = policed(topology.OnProcessingFailure(topology.Stop()))
	require.NoError(t, err)
	require.Contains(t, top.Describe(), "   Failing records: processing: stop\n")
}

func TestNewBuilder_badOptionsAreErrorsOfBuild(t *testing.T) {
	_, err := policed(topology.OnProcessingFailure(topology.Retry(-1)), nil)
	require.ErrorContains(t, err, "policy_test.go:")
	require.ErrorContains(t, err, "OnProcessingFailure: -1 attempts")
	require.ErrorContains(t, err, "option is nil")
}
