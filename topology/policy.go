package topology

import (
	"fmt"
	"strings"
)

// Policy says what the runtime does with an input record that fails. The zero value is the default: retry as often as
// the configuration of the runtime says, then stop.
//
// A skipped record leaves no trace: neither state nor output nor anything else that operators made from it before one
// of them failed. The effects of all other records are kept, exactly once. Kafka Streams (KIP-161, KIP-210, KIP-1033)
// keeps the effects of the operators before the one that failed.
type Policy struct {
	attempts int  // tries after the first failure
	limited  bool // attempts was given
	skip     bool // skip when the attempts are used up; otherwise stop
}

// Stop ends the application at the first failure. The record is not skipped: after a restart it comes again.
func Stop() Policy { return Policy{limited: true} }

// Skip skips the record at the first failure. The record is logged, counted by reason, and reported to a hook.
func Skip() Policy { return Policy{limited: true, skip: true} }

// Retry retries up to the given number of times, at least once, with growing pauses, and then stops like [Stop]. Later
// records of the same partition wait; other partitions go on.
func Retry(attempts int) Policy { return Policy{attempts: attempts, limited: true} }

// ThenSkip skips the record when the attempts are used up.
func (p Policy) ThenSkip() Policy {
	p.skip = true
	return p
}

// Attempts returns the number of retries after the first failure, and false if the runtime decides.
func (p Policy) Attempts() (n int, given bool) { return p.attempts, p.limited }

// Skips reports whether the record is skipped when the attempts are used up.
func (p Policy) Skips() bool { return p.skip }

// String returns the policy in words, such as "retry 3 times, then skip".
func (p Policy) String() string {
	end := "stop"
	if p.skip {
		end = "skip"
	}
	switch {
	case !p.limited:
		return "retry, then " + end
	case p.attempts == 0:
		return end
	case p.attempts == 1:
		return "retry once, then " + end
	default:
		return fmt.Sprintf("retry %d times, then %s", p.attempts, end)
	}
}

// Policies are the policies of a topology.
type Policies struct {
	// Undecodable is for records whose key or value cannot be decoded ([engine.DecodeError]).
	Undecodable Policy
	// TimeAhead is for records of a source whose time is further ahead of the wall clock than the runtime allows
	// ([engine.TimeError]): the time of the record is wrong, or the clock of the machine.
	TimeAhead Policy
	// Processing is for records on which a function of the user panics, or that lead to a key or value that a codec
	// refuses ([engine.RecordError]).
	Processing Policy
	// Producing is for records that lead to output that the broker refuses: the output is too large, its topic does not
	// exist, or the application must not write to the topic.
	Producing Policy
}

// String names the policies that are not the default, "" if none is.
func (p Policies) String() string {
	var words []string
	for _, x := range []struct {
		what   string
		policy Policy
	}{{"undecodable", p.Undecodable}, {"time ahead", p.TimeAhead}, {"processing", p.Processing}, {"producing", p.Producing}} {
		if x.policy != (Policy{}) {
			words = append(words, x.what+": "+x.policy.String())
		}
	}
	return strings.Join(words, "; ")
}
