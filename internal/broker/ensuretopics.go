package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// topicsVisible bounds the wait for created topics. A healthy broker needs milliseconds.
	topicsVisible = 30 * time.Second

	// topicsPoll is how often that wait looks for them.
	topicsPoll = 20 * time.Millisecond

	// createTimeout is how long the controller may take to create topics.
	createTimeout = 15 * time.Second
)

// EnsureTopics verifies the topics of specs that exist and creates those that are missing. It returns when every broker
// knows them with a leader for each partition. Several callers may ensure the same topics at the same time.
//
// All problems are returned in one joined error; each names the topic, what is wrong and the remedy. If there are any,
// nothing was created. What makes no result wrong, but may make the brokers refuse records, is logged as a warning.
func (c *Client) EnsureTopics(ctx context.Context, specs ...TopicSpec) error {
	specs, problems := mergeSpecs(specs)
	existing, err := c.existing(ctx, specs)
	if err != nil {
		return err
	}
	var absent []TopicSpec
	var warnings []string
	for _, spec := range specs {
		topic, ok := existing[spec.Name]
		switch {
		case ok:
			problems = append(problems, spec.verify(topic))
			warnings = append(warnings, spec.timeWarnings(topic)...)
		case spec.MustExist:
			problems = append(problems, fmt.Errorf("%w: %s %q, which is not ours to create; create it%s, or correct the name",
				ErrTopicMissing, spec.Kind, spec.Name, withPartitions(spec)))
		default:
			absent = append(absent, spec)
		}
	}
	// A dry run first, so that nothing is created if anything is wrong.
	if absent, err = c.create(ctx, absent, true, &problems); err != nil {
		return err
	}
	if err := ensured(problems); err != nil {
		return err
	}
	if _, err = c.create(ctx, absent, false, &problems); err != nil {
		return err
	}
	if err := ensured(problems); err != nil {
		return err
	}
	if err := c.awaitTopics(ctx, absent); err != nil {
		return err
	}
	for _, warning := range warnings {
		c.config.Logger.LogAttrs(ctx, slog.LevelWarn, "an internal topic has a setting that may change times or make brokers refuse records", slog.String("problem", warning))
	}
	return c.warnOfSingleReplicas(ctx, specs)
}

// ensured joins the problems of EnsureTopics.
func ensured(problems []error) error {
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("broker: topics are not as they must be:\n%w", err)
	}
	return nil
}

func withPartitions(spec TopicSpec) string {
	if spec.Partitions == 0 {
		return ""
	}
	return fmt.Sprintf(" with %d partitions", spec.Partitions)
}

func names(specs []TopicSpec) []string {
	list := make([]string, len(specs))
	for i, spec := range specs {
		list[i] = spec.Name
	}
	return list
}

// existing describes those topics of specs that exist, by name.
func (c *Client) existing(ctx context.Context, specs []TopicSpec) (map[string]existingTopic, error) {
	found := make(map[string]existingTopic, len(specs))
	if len(specs) == 0 {
		return found, nil
	}
	topics, err := c.topics(ctx, names(specs))
	if err != nil {
		return nil, fmt.Errorf("broker: asking for topics %s: %w", strings.Join(names(specs), ", "), err)
	}
	for name, topic := range topics {
		found[name] = existingTopic{
			name:        name,
			partitions:  int32(len(topic.Partitions)),
			replication: replication(topic),
		}
	}
	if len(found) == 0 {
		return found, nil
	}
	return found, c.describe(ctx, found)
}

// replication returns the smallest number of replicas of any partition.
func replication(topic kmsg.MetadataResponseTopic) int16 {
	least := -1
	for _, partition := range topic.Partitions {
		if n := len(partition.Replicas); least < 0 || n < least {
			least = n
		}
	}
	return int16(max(least, 0))
}

// describe fills in the configuration of topics.
func (c *Client) describe(ctx context.Context, topics map[string]existingTopic) error {
	list := make([]string, 0, len(topics))
	for name := range topics {
		list = append(list, name)
	}
	slices.Sort(list)
	resources, err := c.admin.DescribeTopicConfigs(ctx, list...)
	if err != nil {
		return fmt.Errorf("broker: asking for the configuration of %s: %w", strings.Join(list, ", "), c.denied(err, "DescribeConfigs", "each of them"))
	}
	for _, resource := range resources {
		if resource.Err != nil {
			return fmt.Errorf("broker: asking for the configuration of topic %q: %w",
				resource.Name, c.denied(resource.Err, "DescribeConfigs", "it"))
		}
		topic := topics[resource.Name]
		topic.configs = make(map[string]string)
		for _, config := range resource.Configs {
			switch config.Key {
			case "cleanup.policy", "retention.ms", "retention.bytes", timestampType, timestampBefore, timestampAfter, timestampDifference:
				topic.configs[config.Key] = config.MaybeValue()
			}
		}
		topics[resource.Name] = topic
	}
	return nil
}

// create asks the controller to create the topics of specs or, with dry, only whether it would create them. It returns
// the topics that it creates. A topic that another program has created in the meantime is verified instead. Problems
// are appended to problems.
func (c *Client) create(ctx context.Context, specs []TopicSpec, dry bool, problems *[]error) (created []TopicSpec, err error) {
	var raced []TopicSpec
	for _, limits := range timeLimits() {
		if len(specs) == 0 {
			break
		}
		response, err := creation(specs, limits, dry).RequestWith(ctx, c.kafka)
		if err != nil {
			return nil, fmt.Errorf("broker: creating topics %s: %w", strings.Join(names(specs), ", "), err)
		}
		byName := make(map[string]TopicSpec, len(specs))
		for _, spec := range specs {
			byName[spec.Name] = spec
		}
		specs = nil // filled with what is to be created again, by a broker without these limits
		for _, topic := range response.Topics {
			spec := byName[topic.Topic]
			switch err := kerr.ErrorForCode(topic.ErrorCode); {
			case err == nil, dry && errors.Is(err, kerr.RequestTimedOut):
				created = append(created, spec)
			case errors.Is(err, kerr.TopicAlreadyExists), errors.Is(err, kerr.RequestTimedOut):
				// A creation that timed out usually succeeds a moment later; awaitTopics finds out.
				raced = append(raced, spec)
			case errors.Is(err, kerr.InvalidConfig) && len(limits) > 0:
				specs = append(specs, spec)
			default:
				*problems = append(*problems, c.refusal(spec, err, topic.ErrorMessage))
			}
		}
	}
	if err := c.awaitTopics(ctx, raced); err != nil {
		return nil, err
	}
	found, err := c.existing(ctx, raced)
	if err != nil {
		return nil, err
	}
	for _, spec := range raced {
		*problems = append(*problems, spec.verify(found[spec.Name]))
	}
	return created, nil
}

// creation returns the request for topics; limits are the names of the settings by which the broker refuses timestamps.
func creation(specs []TopicSpec, limits []string, dry bool) *kmsg.CreateTopicsRequest {
	request := kmsg.NewPtrCreateTopicsRequest()
	request.ValidateOnly = dry
	request.TimeoutMillis = int32(createTimeout.Milliseconds())
	for _, spec := range specs {
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic = spec.Name
		topic.NumPartitions, topic.ReplicationFactor = -1, -1
		if spec.Partitions != 0 {
			topic.NumPartitions = spec.Partitions
		}
		if spec.Replication != 0 {
			topic.ReplicationFactor = spec.Replication
		}
		for key, value := range spec.configs(limits) {
			config := kmsg.NewCreateTopicsRequestTopicConfig()
			config.Name, config.Value = key, &value
			topic.Configs = append(topic.Configs, config)
		}
		request.Topics = append(request.Topics, topic)
	}
	return request
}

// refusal explains why the cluster does not create a topic.
func (c *Client) refusal(spec TopicSpec, err error, detail *string) error {
	remedy := "create it by hand and look into the log of the broker"
	switch {
	case errors.Is(err, kerr.InvalidReplicationFactor):
		remedy = "ask for no more replicas than there are brokers"
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		remedy = fmt.Sprintf("allow Create on it to %s, or have it created", c.protection.principal)
	case errors.Is(err, kerr.InvalidTopicException):
		remedy = "rename it: a topic exists whose name differs only in '.' and '_'"
	case errors.Is(err, kerr.PolicyViolation):
		remedy = "follow the policy of the cluster"
	case errors.Is(err, kerr.InvalidPartitions):
		remedy = "ask for another number of partitions"
	}
	if detail != nil && *detail != "" {
		err = fmt.Errorf("%w (%s)", err, *detail)
	}
	return fmt.Errorf("%s %q cannot be created: %w; %s", spec.Kind, spec.Name, err, remedy)
}

// awaitTopics waits until every broker that answers has a leader for each partition of the topics. The controller
// answers the creation; another broker that is asked right after it may not know the topic yet.
func (c *Client) awaitTopics(ctx context.Context, specs []TopicSpec) error {
	if len(specs) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, topicsVisible)
	defer cancel()
	ticker := time.NewTicker(topicsPoll)
	defer ticker.Stop()
	for {
		waiting, err := c.unknown(ctx, specs)
		if err == nil && waiting == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			if err == nil {
				err = fmt.Errorf("%s; look into the log of the brokers", waiting)
			}
			return fmt.Errorf("broker: waiting for created topics: %w: %w", ctx.Err(), err)
		case <-ticker.C:
		}
	}
}

// unknown names a topic of specs that some broker does not completely know yet, or returns "" if every broker knows all
// of them.
func (c *Client) unknown(ctx context.Context, specs []TopicSpec) (string, error) {
	nodes, err := c.admin.ListBrokers(ctx)
	if err != nil {
		return "", err
	}
	answered := false
	for _, node := range nodes {
		var response *kmsg.MetadataResponse
		if response, err = metadataRequest(names(specs)).RequestWith(ctx, c.kafka.Broker(int(node.NodeID))); err != nil {
			continue // a broker that is down will know when it is up
		}
		answered = true
		for _, topic := range response.Topics {
			if !ready(topic) {
				return fmt.Sprintf("broker %d has no leader for all partitions of %q", node.NodeID, *topic.Topic), nil
			}
		}
	}
	if !answered {
		return "", err
	}
	return "", nil
}

func ready(topic kmsg.MetadataResponseTopic) bool {
	if topic.ErrorCode != 0 || len(topic.Partitions) == 0 {
		return false
	}
	for _, partition := range topic.Partitions {
		if partition.ErrorCode != 0 || partition.Leader < 0 {
			return false
		}
	}
	return true
}

// warnOfSingleReplicas logs the topics that would be lost with one broker.
func (c *Client) warnOfSingleReplicas(ctx context.Context, specs []TopicSpec) error {
	if len(specs) == 0 {
		return nil
	}
	topics, err := c.topics(ctx, names(specs))
	if err != nil {
		return fmt.Errorf("broker: asking for topics %s: %w", strings.Join(names(specs), ", "), err)
	}
	var single []string
	for _, spec := range specs {
		if topic, ok := topics[spec.Name]; ok && replication(topic) < 2 {
			single = append(single, spec.Name)
		}
	}
	if len(single) > 0 {
		level := slog.LevelWarn
		if len(c.kafka.DiscoveredBrokers()) < 2 {
			level = slog.LevelInfo // a cluster of one broker has no choice
		}
		c.config.Logger.Log(ctx, level, "topics without a second replica: the loss of one broker loses their data; use replication factor 3 in production",
			slog.String("topics", strings.Join(single, ", ")))
	}
	return nil
}
