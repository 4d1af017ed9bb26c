package broker

import (
	"fmt"
	"strconv"
	"time"
)

// The settings by which a broker keeps, replaces or refuses the timestamps of a topic's records.
const (
	timestampType = "message.timestamp.type"

	// How far before and after the broker's clock a timestamp may be, since Kafka 3.6. Kafka 4 allows one hour after it
	// by default.
	timestampBefore = "message.timestamp.before.max.ms"
	timestampAfter  = "message.timestamp.after.max.ms"

	// timestampDifference is both limits in one, up to Kafka 3.9.
	timestampDifference = "message.timestamp.difference.max.ms"

	ownTimes = "CreateTime"
	anyTime  = "9223372036854775807"
)

// timeLimits are the names of the limits, by the age of the broker. A broker that is older than all of them has none.
func timeLimits() [][]string {
	return [][]string{{timestampBefore, timestampAfter}, {timestampDifference}, nil}
}

// keepsTimes says whether the records of the topic have times of their own, which consumers rely on.
func (s TopicSpec) keepsTimes() bool { return s.Kind == Repartition || s.OwnTimes }

// verifyTimes checks that the topic keeps the times of its records. A topic that replaces them makes results wrong
// without a word.
func (s TopicSpec) verifyTimes(t existingTopic) error {
	kind, known := t.configs[timestampType]
	if s.Kind != Repartition || !known || kind == ownTimes {
		return nil
	}
	return fmt.Errorf("%s %q has %s=%s: the broker replaces the times of records by the time of their arrival, so they would be in the wrong windows; "+
		"%s (records that are in it now keep the time of their arrival)",
		s.Kind, s.Name, timestampType, kind, alter(s.Name, timestampType+"="+ownTimes))
}

// timeWarnings says what else about the times of an existing topic is not as it would be created. A broker that refuses
// a record says so, so nothing is wrong in silence.
func (s TopicSpec) timeWarnings(t existingTopic) (warnings []string) {
	if !s.keepsTimes() {
		return nil
	}
	if kind, known := t.configs[timestampType]; s.Kind != Repartition && known && kind != ownTimes {
		warnings = append(warnings, fmt.Sprintf("%s %q has %s=%s: the broker replaces the times of records by the time of their arrival; %s",
			s.Kind, s.Name, timestampType, kind, alter(s.Name, timestampType+"="+ownTimes)))
	}
	for _, limit := range []string{timestampBefore, timestampAfter, timestampDifference} {
		if value, known := t.configs[limit]; known && value != anyTime {
			warnings = append(warnings, fmt.Sprintf("%s %q has %s=%s (%s): the broker refuses records whose time is further %s its clock, with INVALID_TIMESTAMP; %s",
				s.Kind, s.Name, limit, value, millisText(value), limitSide(limit), alter(s.Name, limit+"="+anyTime)))
		}
	}
	return warnings
}

// limitSide says on which side of the clock a limit is.
func limitSide(limit string) string {
	switch limit {
	case timestampBefore:
		return "behind"
	case timestampAfter:
		return "ahead of"
	default:
		return "from"
	}
}

// millisText returns a number of milliseconds as a duration.
func millisText(value string) string {
	ms, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return "not a number"
	}
	return durationText(ms)
}

// durationText returns milliseconds as a duration, or in days if they are more than a duration can be.
func durationText(ms int64) string {
	if d := time.Duration(ms) * time.Millisecond; d.Milliseconds() == ms {
		return d.String()
	}
	return fmt.Sprintf("%d days", ms/(24*time.Hour).Milliseconds())
}
