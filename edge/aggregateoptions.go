package edge

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/seed84377926/millrace/aggregates"
)

// AggregateOptions says where an aggregate type is served and which topic receives its events.
type AggregateOptions struct {
	// Path is the URL path of one aggregate, with {id} as its last segment, such as "/v1/flights/{id}". Commands are
	// sent to POST {Path}/commands/{command}. Required.
	Path string

	// Topic receives the events. It is created if it is missing. Required.
	Topic string

	// Partitions is the number of partitions of the event topic. It decides in which partition each aggregate is, so it
	// never changes: Run refuses an existing topic with another number. Required.
	Partitions int32

	// Replication is the replication factor of the topics. 0 accepts existing topics with any factor, and gives new
	// topics the default of the broker.
	Replication int16

	// ValidID returns an error in words for clients if an id is invalid, and nil otherwise. Ids that are empty, longer
	// than 200 bytes, not UTF-8, or contain control characters are always refused. The default refuses no others.
	ValidID func(id string) error
}

func (o AggregateOptions) validate() error {
	var mistakes []error
	if !strings.HasPrefix(o.Path, "/") || !strings.HasSuffix(o.Path, "/{id}") || strings.Count(o.Path, "{") != 1 {
		mistakes = append(mistakes, fmt.Errorf("AggregateOptions.Path is %q; give a path that ends with /{id}", o.Path))
	}
	if o.Topic == "" {
		mistakes = append(mistakes, errors.New("AggregateOptions.Topic is empty; give the topic of the events"))
	}
	if o.Partitions <= 0 {
		mistakes = append(mistakes, fmt.Errorf("AggregateOptions.Partitions is %d; give a positive number", o.Partitions))
	}
	return errors.Join(mistakes...)
}

const maxIDBytes = 200

// checkID returns why the id of an aggregate is invalid, or nil.
func (o AggregateOptions) checkID(id string) error {
	switch {
	case id == "":
		return errors.New("it is empty")
	case len(id) > maxIDBytes:
		return fmt.Errorf("it has %d bytes, at most %d are allowed", len(id), maxIDBytes)
	case !utf8.ValidString(id):
		return errors.New("it is not UTF-8")
	case strings.ContainsFunc(id, unicode.IsControl):
		return errors.New("it contains control characters")
	case o.ValidID != nil:
		return o.ValidID(id)
	}
	return nil
}

// served is an aggregate type that a server serves.
type served struct {
	typ     aggregates.Type
	options AggregateOptions
	owners  *ownerSet // set before the server listens
}
