package processors

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/topology/describe"
)

func TestTopologyRecord(t *testing.T) {
	record := topologyRecord{
		Format: topologyFormat, Writer: "10.0.0.7:8080", At: time.Date(2026, 11, 25, 22, 0, 0, 0, time.UTC),
		Topology: describe.Topology{Application: "airport", Fingerprint: "3f1c0c9a77d1", SubTopologies: []describe.SubTopology{
			{Name: "delays", Group: "airport-delays", Changelog: "airport-delays-table", Fingerprint: "5d0e14e5c0ff", Inputs: []string{"flights"}},
		}, Topics: []describe.Topic{{Name: "flights", Kind: describe.ExternalTopic, ReadBy: []string{"airport-delays"}}}},
		Topics: map[string]string{"airport-delays-table": "94d6cf5843382318cbc83eb3625ed2f3"},
	}
	plain, err := record.encode()
	require.NoError(t, err)
	require.JSONEq(t, `{"format":1,"written_by":"10.0.0.7:8080","written_at":"2026-11-25T22:00:00Z","topology":{"application":"airport",`+
		`"fingerprint":"3f1c0c9a77d1","sub_topologies":[{"name":"delays","group":"airport-delays","changelog":"airport-delays-table",`+
		`"fingerprint":"5d0e14e5c0ff","inputs":["flights"]}],"topics":[{"name":"flights","kind":"external","read_by":["airport-delays"]}]},"topic_ids":{"airport-delays-table":"94d6cf5843382318cbc83eb3625ed2f3"}}`, string(plain))
	decoded, err := decodeTopologyRecord(plain)
	require.NoError(t, err)
	require.Equal(t, record.Topology, decoded.stored)
	decoded.stored = describe.Topology{}
	require.Equal(t, record, decoded)

	for i := range 10_000 {
		record.Topology.SubTopologies[0].Nodes = append(record.Topology.SubTopologies[0].Nodes, describe.Node{
			Name: fmt.Sprintf("filter-%d", i), Kind: "filter", Role: describe.RoleProcessor,
		})
	}
	packed, err := record.encode()
	require.NoError(t, err)
	require.Equal(t, []byte{0x1f, 0x8b}, packed[:2])
	require.Less(t, len(packed), 1<<20, "brokers take a megabyte")
	decoded, err = decodeTopologyRecord(packed)
	require.NoError(t, err)
	require.Equal(t, record.Topology, decoded.stored)
	decoded.stored = describe.Topology{}
	require.Equal(t, record, decoded)
}

func TestTopologyRecord_refusesWhatItCannotRead(t *testing.T) {
	for data, want := range map[string]string{
		"":             "unexpected end of JSON input",
		"?":            "neither JSON nor gzip",
		"\x1f\x8b":     "neither JSON nor gzip",
		"{":            "unexpected end of JSON input",
		"{}":           "its format is 0, and this version of millrace knows format 1",
		`{"format":2}`: "its format is 2, and this version of millrace knows format 1; use the version that wrote it, or a later one",
	} {
		_, err := decodeTopologyRecord([]byte(data))
		require.ErrorContains(t, err, want, data)
	}
}

func FuzzDecodeTopologyRecord(f *testing.F) {
	f.Add([]byte(`{"format":1,"topology":{"application":"a","topics":[{"name":"t"}],"retired":{"topics":["x"]}}}`))
	f.Add([]byte("\x1f\x8b\x08"))
	now := describe.Topology{Application: "a", Topics: []describe.Topic{{Name: "t", Kind: describe.RepartitionTopic}}}
	f.Fuzz(func(_ *testing.T, data []byte) {
		record, err := decodeTopologyRecord(data)
		if err != nil {
			return
		}
		// A record of any content may be compared with.
		was := record.Topology.Deleted(func(topic string) bool { return len(topic)%2 == 0 })
		_ = describe.Compare(was, now).String() + describe.Compare(now, was).Fingerprint() + now.After(was).String() + was.DOT()
	})
}
