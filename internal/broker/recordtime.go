package broker

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// RecordTime returns the timestamp of a record that was read, in milliseconds. Use it instead of the Timestamp of the
// record, which is wrong if it is outside the years 1678 to 2262: the client multiplies the milliseconds of Kafka by a
// million, and the product overflows. A time in microseconds looks like any time of these centuries then.
//
// A product that did not overflow is a multiple of a million. Of one that did, the milliseconds are those whose product
// is the same modulo 2^64. There are several; RecordTime returns the smallest that is later than all times that do not
// overflow. It is exact up to the year 9 million, and later than now for all but one in 15625 of the times after that.
func RecordTime(rec *kgo.Record) int64 {
	nanos := rec.Timestamp.UnixNano()
	if nanos%nanosPerMilli == 0 {
		return nanos / nanosPerMilli
	}
	return overflown(nanos)
}

const nanosPerMilli = int64(time.Millisecond)

// overflown returns the smallest positive number of milliseconds that is nanos in nanoseconds, modulo 2^64.
func overflown(nanos int64) int64 {
	// A million is 2^6 × 5^6, so a solution exists only if nanos is a multiple of 2^6. It is unique modulo 2^58:
	// milliseconds × 5^6 = nanos / 2^6.
	const factors = 6
	odd := uint64(nanosPerMilli) >> factors
	inverse := odd // of odd modulo 2^64: each step doubles the number of right bits, of which 3 are right at first
	for range 5 {
		inverse *= 2 - odd*inverse
	}
	return int64((uint64(nanos) >> factors) * inverse % (1 << (64 - factors)))
}
