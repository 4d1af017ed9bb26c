package topology

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
)

func TestSubscription_format(t *testing.T) {
	s := subscription{instruction: propagateOnlyIfAvailable, hash: hashValue([]byte("KL:gate")), partition: 300, primaryKey: []byte("1")}
	data := s.append(nil)
	require.Equal(t, "\x01\x03\x01"+string(s.hash.sum[:])+"\xac\x021", string(data))
	again, err := decodeSubscription(data)
	require.NoError(t, err)
	require.Equal(t, s, again)

	deleted := subscription{instruction: propagateNullIfNoValue, noForeignKey: true, primaryKey: []byte("1")}
	require.Equal(t, "\x01\x02\x02\x001", string(deleted.append(nil)))
}

func TestAnswer_format(t *testing.T) {
	a := answer[string]{hash: hashValue([]byte("KL:gate")), value: "KLM", found: true}
	data, err := a.append(nil, codecs.String)
	require.NoError(t, err)
	require.Equal(t, "\x01\x01"+string(a.hash.sum[:])+"KLM", string(data))
	again, err := decodeAnswer(data, codecs.String)
	require.NoError(t, err)
	require.Equal(t, a, again)

	none := answer[string]{retract: true}
	data, err = none.append(nil, codecs.String)
	require.NoError(t, err)
	require.Equal(t, "\x01\x06", string(data))
}

func TestSubscriber_format(t *testing.T) {
	s := subscriber{sum: hashValue([]byte("KL:gate")).sum, partition: 3}
	data, err := subscriberCodec{}.Append(nil, s)
	require.NoError(t, err)
	require.Equal(t, "\x01"+string(s.sum[:])+"\x03", string(data))
	require.Equal(t, "\x02KL1", string(append(appendSubscribersPrefix(nil, []byte("KL")), '1')))
}

func TestForeignRecords_refused(t *testing.T) {
	for data, want := range map[string]string{
		"":                     "subscription: the data ends early",
		"\x02":                 "subscription: version 2, this program reads version 1: it was written by another one",
		"\x01":                 "subscription: the data ends early",
		"\x01\x04":             "subscription: instruction 4 is unknown",
		"\x01\x03":             "subscription: the data ends early",
		"\x01\x03\x08":         "subscription: flags 8 are unknown",
		"\x01\x03\x01short":    "subscription: the data ends early",
		"\x01\x03\x02":         "subscription: instruction 3 without a foreign key",
		"\x01\x03\x00":         "subscription: the partition is out of range or cut off",
		"\x01\x03\x00\xff\xff": "subscription: the partition is out of range or cut off",
	} {
		_, err := decodeSubscription([]byte(data))
		require.EqualError(t, err, want, "%q", data)
	}
	for data, want := range map[string]string{
		"":                 "answer: the data ends early",
		"\x01":             "answer: the data ends early",
		"\x01\x10":         "answer: flags 10 are unknown",
		"\x01\x04":         "answer: there is a value, and a result is to be taken back",
		"\x01\x02x":        "answer: 1 bytes follow the end",
		"\x01\x00\xff\xff": "answer: decode int64: 2 bytes, want 8",
	} {
		_, err := decodeAnswer([]byte(data), codecs.Int64)
		require.EqualError(t, err, want, "%q", data)
	}
	for data, want := range map[string]string{
		"":                                       "subscriber: the data ends early",
		"\x01":                                   "subscriber: the data ends early",
		"\x01" + "0123456789abcdef":              "subscriber: the partition is out of range or cut off",
		"\x01" + "0123456789abcdef" + "\x01\x01": "subscriber: 1 bytes follow the end",
	} {
		_, err := subscriberCodec{}.Decode([]byte(data))
		require.EqualError(t, err, want, "%q", data)
	}
}

func TestPrefixEnd(t *testing.T) {
	require.Equal(t, []byte{1}, prefixEnd([]byte{0}))
	require.Equal(t, []byte{3}, prefixEnd([]byte{2, 0xff, 0xff}))
	require.Equal(t, []byte{2, 'K', 'M'}, prefixEnd([]byte{2, 'K', 'L'}))
	require.Nil(t, prefixEnd([]byte{0xff}))
}

func FuzzDecodeSubscription(f *testing.F) {
	s := subscription{instruction: deleteKeyAndPropagate, hash: hashValue(nil), partition: 7, primaryKey: []byte("k")}
	f.Add(s.append(nil))
	f.Add([]byte("\x01\x02\x02\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := decodeSubscription(data)
		if err != nil {
			return
		}
		again, err := decodeSubscription(s.append(nil))
		require.NoError(t, err)
		require.Equal(t, s, again)
	})
}

func FuzzDecodeAnswer(f *testing.F) {
	a := answer[[]byte]{hash: hashValue(nil), value: []byte("v"), found: true}
	data, err := a.append(nil, codecs.Bytes)
	require.NoError(f, err)
	f.Add(data)
	f.Add([]byte("\x01\x06"))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := decodeAnswer(data, codecs.Bytes)
		if err != nil {
			return
		}
		again, err := a.append(nil, codecs.Bytes)
		require.NoError(t, err)
		require.Equal(t, data, again)
	})
}

func FuzzDecodeSubscriber(f *testing.F) {
	f.Add([]byte("\x010123456789abcdef\x03"))
	f.Fuzz(func(t *testing.T, data []byte) { roundTrips(t, subscriberCodec{}, data) })
}

// All that begins with a foreign key is found by its prefix, and nothing else.
func FuzzSubscribersPrefix(f *testing.F) {
	f.Add([]byte("KL"), []byte("KLM"), []byte("1"))
	f.Add([]byte{}, []byte{0xff}, []byte{0xff})
	f.Fuzz(func(t *testing.T, foreign, other, primary []byte) {
		low := appendSubscribersPrefix(nil, foreign)
		high := prefixEnd(bytes.Clone(low))
		key := append(bytes.Clone(low), primary...)
		require.True(t, bytes.Compare(low, key) <= 0 && (high == nil || bytes.Compare(key, high) < 0))
		if !bytes.Equal(foreign, other) {
			key = append(appendSubscribersPrefix(nil, other), primary...)
			require.False(t, bytes.Compare(low, key) <= 0 && (high == nil || bytes.Compare(key, high) < 0))
		}
	})
}
