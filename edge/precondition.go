package edge

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// precondition is the condition of If-Match and If-None-Match on the version of an aggregate.
type precondition struct {
	match     *etags
	noneMatch *etags
}

// etags is a list of entity tags, or any.
type etags struct {
	any  bool
	tags []string // strong ones as `"x"`, weak ones as `W/"x"`
}

func versionTag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// allows reports whether a version meets the condition. Version 0 means that the aggregate does not exist yet.
func (p precondition) allows(version int64) bool {
	tag := versionTag(version)
	exists := version > 0
	matches := p.match == nil || p.match.any && exists || p.match.strong(tag)
	excluded := p.noneMatch != nil && (p.noneMatch.any && exists || p.noneMatch.weak(tag))
	return matches && !excluded
}

// strong reports whether a tag of the list equals tag, as If-Match compares: weak tags never match.
func (e *etags) strong(tag string) bool { return slices.Contains(e.tags, tag) }

// weak reports whether a tag of the list equals tag, as If-None-Match compares: weak or not.
func (e *etags) weak(tag string) bool {
	return slices.ContainsFunc(e.tags, func(t string) bool { return strings.TrimPrefix(t, "W/") == strings.TrimPrefix(tag, "W/") })
}

func parsePrecondition(h http.Header) (precondition, *Problem) {
	var p precondition
	for _, header := range []struct {
		name string
		into **etags
	}{{"If-Match", &p.match}, {"If-None-Match", &p.noneMatch}} {
		values := h.Values(header.name)
		if len(values) == 0 {
			continue
		}
		parsed, err := parseETags(strings.Join(values, ", "))
		if err != nil {
			bad := badHeader(header.name, `%v; send entity tags such as "3", or *`, err)
			return p, bad
		}
		*header.into = parsed
	}
	return p, nil
}

func parseETags(s string) (*etags, error) {
	s = strings.TrimSpace(s)
	if s == "*" {
		return &etags{any: true}, nil
	}
	e := new(etags)
	for s != "" {
		weak := ""
		rest := s
		if strings.HasPrefix(rest, "W/") {
			weak, rest = "W/", rest[2:]
		}
		if !strings.HasPrefix(rest, `"`) {
			return nil, fmt.Errorf("%q is not a list of entity tags", s)
		}
		end := strings.IndexByte(rest[1:], '"')
		if end < 0 {
			return nil, fmt.Errorf("%q has no closing quote", s)
		}
		e.tags = append(e.tags, weak+rest[:end+2])
		s = strings.TrimLeft(rest[end+2:], " \t")
		if s == "" {
			break
		}
		if !strings.HasPrefix(s, ",") {
			return nil, fmt.Errorf("%q follows a tag without a comma", s)
		}
		s = strings.TrimLeft(s, ", \t")
	}
	if len(e.tags) == 0 {
		return nil, fmt.Errorf("the list of entity tags is empty")
	}
	return e, nil
}

// badHeader returns the problem for one malformed header field.
func badHeader(name, format string, args ...any) *Problem {
	p := problem(http.StatusBadRequest, "invalid-header", "A header field is malformed", "%s: %s", name, fmt.Sprintf(format, args...))
	p.Errors = []ProblemError{{Header: name, Detail: fmt.Sprintf(format, args...)}}
	return p
}
