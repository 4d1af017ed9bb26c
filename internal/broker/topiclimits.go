package broker

import (
	"context"
	"strconv"
	"time"
)

// Limits are what a topic accepts. A field that is 0 is not known.
type Limits struct {
	// BatchBytes is the largest batch of records, max.message.bytes.
	BatchBytes int32
	// Before and After are how far the time of a record may be before and after the clock of the broker, in
	// milliseconds: message.timestamp.before.max.ms and message.timestamp.after.max.ms.
	Before, After int64
}

// Limits returns the limits of the topics. What the cluster does not report is left out: the limits help, but a missing
// one must not make anything fail.
func (c *Client) Limits(ctx context.Context, topics ...string) map[string]Limits {
	all := make(map[string]Limits, len(topics))
	if len(topics) == 0 {
		return all
	}
	resources, err := c.admin.DescribeTopicConfigs(ctx, topics...)
	if err != nil {
		return all
	}
	for _, resource := range resources {
		var limits Limits
		for _, config := range resource.Configs {
			n, err := strconv.ParseInt(config.MaybeValue(), 10, 64)
			if err != nil {
				continue
			}
			switch config.Key {
			case "max.message.bytes":
				if n >= 512 { // franz-go needs room for one small batch
					limits.BatchBytes = int32(min(n, 1<<31-1))
				}
			case timestampBefore:
				limits.Before = n
			case timestampAfter:
				limits.After = n
			}
		}
		if limits != (Limits{}) {
			all[resource.Name] = limits
		}
	}
	return all
}

// clockTolerance is how far the clocks of brokers may be from ours when we say which record of a batch they refused.
const clockTolerance = 5 * time.Minute

// exceeded returns the setting by which a broker refuses a record of the given time at the given moment, and its value;
// "" if it would take the record, or if its clock decides.
func (l Limits) exceeded(at, now time.Time) (setting string, value int64) {
	ahead := at.UnixMilli() - now.UnixMilli()
	tolerance := clockTolerance.Milliseconds()
	switch {
	case l.After > 0 && ahead-tolerance > l.After:
		return timestampAfter, l.After
	case l.Before > 0 && -ahead-tolerance > l.Before:
		return timestampBefore, l.Before
	default:
		return "", 0
	}
}
