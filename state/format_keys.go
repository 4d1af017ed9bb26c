package state

import "fmt"

const (
	timeSize    = 8  // bytes of a time
	startSize   = 8  // bytes of the window start after an escaped key
	sessionSize = 16 // bytes of the end and the start after an escaped key
	versionSize = 8  // bytes of the end after an escaped key
	joinSize    = 16 // bytes of the timestamp and the sequence number after an escaped key
	seqSize     = 8  // bytes of a sequence number
	sideSize    = 1  // bytes of the side after the time of a queue key
)

// AppendWindowKey appends the store key of a window row: the escaped key and the start of the window in milliseconds.
// Window keys sort by key, then by start.
func AppendWindowKey(dst, key []byte, start int64) []byte {
	return appendInt64(appendEscaped(dst, key), start)
}

// SplitWindowKey is the inverse of [AppendWindowKey]. It appends the key to dst.
func SplitWindowKey(dst, storeKey []byte) (key []byte, start int64, err error) {
	key, rest, err := unescape(dst, storeKey)
	if err != nil {
		return dst, 0, fmt.Errorf("window key %x: %w", storeKey, err)
	}
	if len(rest) != startSize {
		return dst, 0, fmt.Errorf("window key %x: %d bytes after the key, want a window start of %d", storeKey, len(rest), startSize)
	}
	return key, readInt64(rest), nil
}

// windowStart returns the start of the window of a well-formed window key.
func windowStart(storeKey []byte) int64 { return readInt64(storeKey[len(storeKey)-startSize:]) }

// AppendSessionKey appends the store key of a session row: the escaped key, the last and the first millisecond of the
// session. Session keys sort by key, then by end, then by start.
func AppendSessionKey(dst, key []byte, s Session) []byte {
	return appendInt64(appendInt64(appendEscaped(dst, key), s.End), s.Start)
}

// SplitSessionKey is the inverse of [AppendSessionKey]. It appends the key to dst.
func SplitSessionKey(dst, storeKey []byte) (key []byte, s Session, err error) {
	key, rest, err := unescape(dst, storeKey)
	if err == nil && len(rest) != sessionSize {
		err = fmt.Errorf("%d bytes after the key, want the end and the start of a session of %d", len(rest), sessionSize)
	}
	if err == nil {
		s = Session{Start: readInt64(rest[timeSize:]), End: readInt64(rest)}
		err = s.validate()
	}
	if err != nil {
		return dst, Session{}, fmt.Errorf("session key %x: %w", storeKey, err)
	}
	return key, s, nil
}

// sessionOf returns the session of a well-formed session key.
func sessionOf(storeKey []byte) Session {
	times := storeKey[len(storeKey)-sessionSize:]
	return Session{Start: readInt64(times[timeSize:]), End: readInt64(times)}
}

// AppendVersionKey appends the store key of a version: the escaped key and the time at which the version ends, the
// first millisecond at which it is not valid any more. The version that is valid now ends at [math.MaxInt64]. Version
// keys sort by key, then by end.
func AppendVersionKey(dst, key []byte, end int64) []byte {
	return appendInt64(appendEscaped(dst, key), end)
}

// SplitVersionKey is the inverse of [AppendVersionKey]. It appends the key to dst.
func SplitVersionKey(dst, storeKey []byte) (key []byte, end int64, err error) {
	key, rest, err := unescape(dst, storeKey)
	if err == nil && len(rest) != versionSize {
		err = fmt.Errorf("%d bytes after the key, want the end of a version of %d", len(rest), versionSize)
	}
	if err != nil {
		return dst, 0, fmt.Errorf("version key %x: %w", storeKey, err)
	}
	return key, readInt64(rest), nil
}

// versionEnd returns the end of the version of a well-formed version key.
func versionEnd(storeKey []byte) int64 { return readInt64(storeKey[len(storeKey)-versionSize:]) }

// AppendJoinKey appends the store key of a record in a join buffer: the escaped key, the timestamp in milliseconds and
// the sequence number. Join keys sort by key, then by timestamp, then by sequence number.
func AppendJoinKey(dst, key []byte, timestamp, seq int64) []byte {
	return appendInt64(appendInt64(appendEscaped(dst, key), timestamp), seq)
}

// SplitJoinKey is the inverse of [AppendJoinKey]. It appends the key to dst.
func SplitJoinKey(dst, storeKey []byte) (key []byte, timestamp, seq int64, err error) {
	key, rest, err := unescape(dst, storeKey)
	if err == nil && len(rest) != joinSize {
		err = fmt.Errorf("%d bytes after the key, want a timestamp and a sequence number of %d", len(rest), joinSize)
	}
	if err != nil {
		return dst, 0, 0, fmt.Errorf("join key %x: %w", storeKey, err)
	}
	return key, readInt64(rest), readInt64(rest[timeSize:]), nil
}

// joinTimes returns the timestamp and the sequence number of a well-formed join key.
func joinTimes(storeKey []byte) (timestamp, seq int64) {
	times := storeKey[len(storeKey)-joinSize:]
	return readInt64(times), readInt64(times[timeSize:])
}

// AppendQueueKey appends the store key of an entry of a time queue: time, side, escaped key, sequence number. Queue
// keys sort in just this order.
func AppendQueueKey(dst, key []byte, p QueuePlace) []byte {
	dst = append(appendInt64(dst, p.Time), byte(p.Side))
	return appendInt64(appendEscaped(dst, key), p.Seq)
}

// SplitQueueKey is the inverse of [AppendQueueKey]. It appends the key to dst.
func SplitQueueKey(dst, storeKey []byte) (key []byte, p QueuePlace, err error) {
	if len(storeKey) < timeSize+sideSize {
		return dst, p, fmt.Errorf("queue key %x: %d bytes, want a time and a side of %d first",
			storeKey, len(storeKey), timeSize+sideSize)
	}
	p.Time, p.Side = readInt64(storeKey), JoinSide(storeKey[timeSize])
	key, rest, err := unescape(dst, storeKey[timeSize+sideSize:])
	switch {
	case err != nil:
	case p.Side > LeftSide:
		err = fmt.Errorf("side %d is neither right nor left", p.Side)
	case len(rest) != seqSize:
		err = fmt.Errorf("%d bytes after the key, want a sequence number of %d", len(rest), seqSize)
	}
	if err != nil {
		return dst, QueuePlace{}, fmt.Errorf("queue key %x: %w", storeKey, err)
	}
	p.Seq = readInt64(rest)
	return key, p, nil
}

// splitSuppressKey appends the key in the store key of a suppress row to dst. The store key is the escaped key.
func splitSuppressKey(dst, storeKey []byte) (key []byte, err error) {
	key, rest, err := unescape(dst, storeKey)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes after the key", len(rest))
	}
	if err != nil {
		return dst, fmt.Errorf("suppress key %x: %w", storeKey, err)
	}
	return key, nil
}

// AppendIndexKey appends the store key of a row of an index: the escaped index key and the key of the row that it leads
// to. The rows of an index sort by index key, then by key.
func AppendIndexKey(dst, index, key []byte) []byte { return append(appendEscaped(dst, index), key...) }

// SplitIndexKey is the inverse of [AppendIndexKey]. It appends the index key to dst. key shares memory with storeKey.
func SplitIndexKey(dst, storeKey []byte) (index, key []byte, err error) {
	index, key, err = unescape(dst, storeKey)
	if err != nil {
		return dst, nil, fmt.Errorf("index key %x: %w", storeKey, err)
	}
	return index, key, nil
}

// indexBounds returns the store keys that bound the rows of an index with lo <= index key < hi. A nil bound is open.
// The row with the empty store key is never between them.
func indexBounds(lo, hi []byte) (low, high []byte) {
	if hi != nil {
		high = appendEscaped([]byte{}, hi)
	}
	return appendEscaped([]byte{}, lo), high
}
