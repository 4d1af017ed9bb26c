package engine

import (
	"fmt"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

// timeBytes is the size of a time in a row of the store of stream times. The largest timestamp may follow.
const timeBytes = 8

// LowerTime lowers a row of the store of stream times, as a changelog has it, to latest, in milliseconds. It returns
// the row and the time that it had. A row that is not later is returned as it is.
//
// The largest timestamp is left out, of a row that is not later as well, since it may be later than the time. Without
// it the time stays where it is until a record has passed it.
func LowerTime(row []byte, latest int64) (lowered []byte, was int64, err error) {
	timestamp, value, err := state.SplitRowValue(row)
	if err == nil && len(value) < timeBytes {
		err = fmt.Errorf("it has %d bytes, want %d at least", len(value), timeBytes)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("row of a stream time: %w", err)
	}
	if was, err = codecs.Int64.Decode(value[:timeBytes]); err != nil {
		return nil, 0, fmt.Errorf("row of a stream time: %w", err)
	}
	if was <= latest && len(value) == timeBytes {
		return row, was, nil
	}
	now, err := codecs.Int64.Append(nil, min(was, latest))
	return state.AppendRowValue(nil, min(timestamp, latest), now), was, err
}
