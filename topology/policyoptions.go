package topology

import "fmt"

type policyOption struct {
	name   string
	policy Policy
	field  func(*Policies) *Policy
}

func (o policyOption) applyBuilder(to *builderOptions) error {
	*o.field(&to.policies) = o.policy
	if o.policy.attempts < 0 {
		return fmt.Errorf("%s: %d attempts; want none or more", o.name, o.policy.attempts)
	}
	return nil
}

// OnUndecodable sets [Policies.Undecodable].
func OnUndecodable(p Policy) BuilderOption {
	return policyOption{"OnUndecodable", p, func(all *Policies) *Policy { return &all.Undecodable }}
}

// OnTimeAhead sets [Policies.TimeAhead].
func OnTimeAhead(p Policy) BuilderOption {
	return policyOption{"OnTimeAhead", p, func(all *Policies) *Policy { return &all.TimeAhead }}
}

// OnProcessingFailure sets [Policies.Processing].
func OnProcessingFailure(p Policy) BuilderOption {
	return policyOption{"OnProcessingFailure", p, func(all *Policies) *Policy { return &all.Processing }}
}

// OnProduceFailure sets [Policies.Producing].
func OnProduceFailure(p Policy) BuilderOption {
	return policyOption{"OnProduceFailure", p, func(all *Policies) *Policy { return &all.Producing }}
}
