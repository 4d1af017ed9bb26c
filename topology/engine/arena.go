package engine

import "github.com/seed84377926/millrace/codecs"

const arenaChunk = 64 << 10

// Arena is where a task encodes keys and values. It never writes again what it has handed out, so a Sink may keep it
// without a copy; the garbage collector frees a chunk when nobody uses it any more. The encodings of an input record
// that led to no output are given up: their memory is used again for the next record.
type Arena struct {
	chunk []byte // used part; the capacity is the whole chunk
	mark  int    // length of chunk before the current input record
	kept  bool   // something was handed to the sink
}

// begin marks the start of an input record.
func (a *Arena) begin() { a.mark, a.kept = len(a.chunk), false }

// end gives up what was encoded since begin, unless it was handed out.
func (a *Arena) end() {
	if !a.kept {
		a.chunk = a.chunk[:a.mark]
	}
}

// Encode returns the encoding of v, never nil.
func Encode[T any](a *Arena, codec codecs.Codec[T], v T) ([]byte, error) {
	room := a.Room()
	data, err := codec.Append(room, v)
	if err != nil {
		return nil, err
	}
	return a.Use(room, data), nil
}

// Room returns an empty slice to append an encoding to.
func (a *Arena) Room() []byte {
	if len(a.chunk) == cap(a.chunk) {
		a.grow()
	}
	return a.chunk[len(a.chunk):]
}

// Use takes what was appended to room, and returns it, never nil.
func (a *Arena) Use(room, data []byte) []byte {
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

func (a *Arena) grow() { a.chunk, a.mark = make([]byte, 0, arenaChunk), 0 }
