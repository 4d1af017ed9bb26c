package topology

import "github.com/seed84377926/millrace/codecs"

const arenaChunk = 64 << 10

// arena is where a task encodes keys and values. What it hands out is never written again, so a Sink may keep it without
// a copy; the garbage collector frees a chunk when nobody uses it any more. What was encoded for an input record that
// led to no output is taken back.
type arena struct {
	chunk []byte // used part; the capacity is the whole chunk
	mark  int    // length of chunk before the current input record
	kept  bool   // something was handed to the sink
}

// begin marks the start of an input record.
func (a *arena) begin() { a.mark, a.kept = len(a.chunk), false }

// end takes back what was encoded since begin, unless it was handed out.
func (a *arena) end() {
	if !a.kept {
		a.chunk = a.chunk[:a.mark]
	}
}

// keep says that the slices of this input record were handed to somebody.
func (a *arena) keep() { a.kept = true }

// encode returns the encoding of v, never nil.
func encode[T any](a *arena, codec codecs.Codec[T], v T) ([]byte, error) {
	room := a.room()
	data, err := codec.Append(room, v)
	if err != nil {
		return nil, err
	}
	return a.use(room, data), nil
}

// room returns an empty slice to append an encoding to.
func (a *arena) room() []byte {
	if len(a.chunk) == cap(a.chunk) {
		a.grow()
	}
	return a.chunk[len(a.chunk):]
}

// use takes what was appended to room, and returns it, never nil.
func (a *arena) use(room, data []byte) []byte {
	n := len(data)
	switch {
	case n == 0:
		return room[:0:0]
	case n <= cap(room) && &data[0] == &room[:1][0]:
		a.chunk = a.chunk[:len(a.chunk)+n]
	case n < arenaChunk/8:
		// The rest of the chunk was too short and append moved the encoding to memory of its own.
		a.grow()
	}
	return data[:n:n]
}

func (a *arena) grow() { a.chunk, a.mark = make([]byte, 0, arenaChunk), 0 }
