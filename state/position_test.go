package state_test

import (
	"encoding/base64"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/state"
)

func tp(topic string, partition int32) state.TopicPartition {
	return state.TopicPartition{Topic: topic, Partition: partition}
}

func samplePosition() state.Position {
	p := state.NewPosition()
	p.StreamTime = 1_717_200_000_000
	p.Direct[tp("flights", 3)] = 17
	p.Direct[tp("airlines", 3)] = 0
	p.Derived[tp("flights", 0)] = math.MaxInt64
	p.Derived[tp("flights", 1)] = 4
	p.Largest, p.DirectSeen = 1_717_200_000_001, 1_717_200_000_000
	p.Senders[state.Sender{Topic: "by-carrier", Partition: 1}] = state.Mark{
		Offsets: map[state.TopicPartition]int64{tp("flights", 1): 4}, Time: 1_717_200_000_000,
	}
	p.Senders[state.Sender{Topic: "by-carrier", Partition: 0}] = state.Mark{
		Offsets: map[state.TopicPartition]int64{}, Time: state.IdleTime,
	}
	return p
}

func TestPosition(t *testing.T) {
	for name, p := range map[string]state.Position{"empty": state.NewPosition(), "sample": samplePosition()} {
		data := p.Append([]byte("dst:"))
		require.Equal(t, "dst:", string(data[:4]))
		back, err := state.DecodePosition(data[4:])
		require.NoError(t, err, name)
		require.Equal(t, p, back, name)
		for range 20 {
			require.Equal(t, data[4:], back.Append(nil), "equal positions have equal encodings")
		}
	}
	back, err := state.DecodePosition(state.Position{}.Append(nil))
	require.NoError(t, err)
	require.NotNil(t, back.Direct)
	require.NotNil(t, back.Derived)
	require.NotNil(t, back.Senders)
	require.Zero(t, back.StreamTime)
}

// TestPosition_bytes is the example of docs/formats.md.
func TestPosition_bytes(t *testing.T) {
	p := state.NewPosition()
	p.StreamTime, p.Largest, p.DirectSeen = 300, 300, 300
	p.Direct[tp("in", 2)] = 5
	require.Equal(t, []byte{
		1,          // version
		0xd8, 0x04, // stream time 300
		1, 2, 'i', 'n', 1, 2, 10, // direct: one topic, one partition: 2 up to 5
		0, // derived
		0, // senders
	}, p.Append(nil))
}

func TestPosition_Lower(t *testing.T) {
	p := samplePosition()
	require.False(t, p.Lower(1_717_200_000_001))
	require.Equal(t, samplePosition(), p)
	require.True(t, p.Lower(5))
	require.EqualValues(t, 5, p.StreamTime)
	require.EqualValues(t, 5, p.DirectSeen)
	require.EqualValues(t, 5, p.Largest)
	require.EqualValues(t, 5, p.Senders[state.Sender{Topic: "by-carrier", Partition: 1}].Time)
	require.EqualValues(t, state.IdleTime, p.Senders[state.Sender{Topic: "by-carrier", Partition: 0}].Time)
	require.Equal(t, samplePosition().Direct, p.Direct)
}

func TestPosition_Clone(t *testing.T) {
	p := samplePosition()
	c := p.Clone()
	require.Equal(t, p, c)
	c.Direct[tp("flights", 3)]++
	c.Derived[tp("flights", 1)]++
	c.Senders[state.Sender{Topic: "by-carrier", Partition: 1}].Offsets[tp("flights", 1)]++
	delete(c.Senders, state.Sender{Topic: "by-carrier", Partition: 0})
	require.Equal(t, samplePosition(), p)
	require.NotNil(t, state.Position{}.Clone().Senders)
}

// TestDecodePosition_withoutTimes reads a position with a sender, as versions before the times wrote it.
func TestDecodePosition_withoutTimes(t *testing.T) {
	p, err := state.DecodePosition([]byte{1, 0xd8, 0x04, 0, 0, 1, 1, 'r', 2, 1, 1, 'f', 1, 0, 8})
	require.NoError(t, err)
	require.EqualValues(t, 300, p.StreamTime)
	require.EqualValues(t, -1, p.DirectSeen)
	mark := state.Mark{Time: -1}
	mark.Offsets = map[state.TopicPartition]int64{tp("f", 0): 4}
	require.Equal(t, map[state.Sender]state.Mark{{Topic: "r", Partition: 2}: mark}, p.Senders)
}

func TestDecodePosition_errors(t *testing.T) {
	good := samplePosition().Append(nil)
	for n := range good {
		_, err := state.DecodePosition(good[:n])
		require.Error(t, err, "the first %d bytes", n)
	}
	for want, data := range map[string][]byte{
		"version 3":           {3},
		"entries are not":     {2, 0, 0, 0, 0, 0, 0}, // without senders it is of version 1
		"ends early":          {1, 0, 200},
		"follow the end":      {1, 0, 0, 0, 0, 0},
		"not in order":        {1, 0, 2, 1, 'b', 1, 0, 0, 1, 'a', 1, 0, 0, 0, 0},
		"number is out":       {1, 0, 1, 1, 'b', 1, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0},
		"decode position: a ": {1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	} {
		_, err := state.DecodePosition(data)
		require.ErrorContains(t, err, want)
	}
}

func FuzzDecodePosition(f *testing.F) {
	f.Add(state.NewPosition().Append(nil))
	f.Add(samplePosition().Append(nil))
	f.Add([]byte{1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := state.DecodePosition(data)
		if err != nil {
			return
		}
		again, err := state.DecodePosition(p.Append(nil))
		require.NoError(t, err)
		require.Equal(t, p, again)
	})
}

func TestOffsets(t *testing.T) {
	a := state.Offsets{tp("a", 0): 5, tp("a", 1): 7}
	b := state.Offsets{tp("a", 1): 6, tp("b", 0): -1}
	merged := a.Merge(b)
	require.Equal(t, state.Offsets{tp("a", 0): 5, tp("a", 1): 7, tp("b", 0): -1}, merged)
	require.Equal(t, merged, b.Merge(a))
	merged[tp("a", 0)] = 99
	require.EqualValues(t, 5, a[tp("a", 0)], "Merge returns a new map")
	require.Equal(t, state.Offsets{}, state.Offsets(nil).Merge(nil))

	require.True(t, a.Covers(nil))
	require.True(t, a.Covers(a))
	require.True(t, a.Covers(state.Offsets{tp("a", 1): 6}))
	require.True(t, a.Covers(state.Offsets{tp("new", 0): 0}), "nothing is below offset 0")
	require.False(t, a.Covers(state.Offsets{tp("a", 1): 8}))
	require.False(t, a.Covers(state.Offsets{tp("b", 0): 1}))
}

func TestOffsets_Token(t *testing.T) {
	for _, o := range []state.Offsets{
		{},
		{tp("airport.flight.events", 3): 1234},
		{tp("a", 0): 0, tp("a", 1): math.MaxInt64, tp("b", 0): -1, tp("", 9): 5, tp("a", math.MaxInt32): 8},
	} {
		token := o.Token()
		require.Regexp(t, `^[A-Za-z0-9_-]*$`, token)
		back, err := state.ParseToken(token)
		require.NoError(t, err)
		require.Equal(t, o, back)
	}
	require.Empty(t, state.Offsets(nil).Token())
	require.Less(t, len(state.Offsets{tp("airport.flight.events", 3): 1234}.Token()), 40)
	for _, bad := range []string{"!", "AQ==", "Ag", "AQ", "AQE", base64.RawURLEncoding.EncodeToString([]byte{1, 0, 0})} {
		_, err := state.ParseToken(bad)
		require.ErrorContains(t, err, "parse position token", bad)
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add(state.Offsets{tp("airport.flight.events", 3): 1234, tp("b", 0): 5}.Token())
	f.Add("")
	f.Add("AQD_")
	f.Fuzz(func(t *testing.T, token string) {
		o, err := state.ParseToken(token)
		if err != nil {
			return
		}
		again, err := state.ParseToken(o.Token())
		require.NoError(t, err)
		require.Equal(t, o, again)
	})
}
