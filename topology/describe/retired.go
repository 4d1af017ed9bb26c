package describe

import "slices"

// Retired is what earlier versions of an application left on the cluster, and what the application does not use any
// more.
type Retired struct {
	// Groups are the groups that are gone, without their nodes. Their changelogs and offsets are still there.
	Groups []SubTopology `json:"groups,omitempty"`
	// Stores are stores that are gone from groups that go on. Their rows are still in the changelogs.
	Stores []RetiredStore `json:"stores,omitempty"`
	// Topics are repartition topics that are gone from the program.
	Topics []string `json:"topics,omitempty"`
}

// RetiredStore is a store that its group does not keep any more.
type RetiredStore struct {
	Group string `json:"group"`
	Store Store  `json:"store"`
}

// After returns d as the successor of before, the stored description: Retired of the result holds what before used and
// d does not use.
func (d Topology) After(before Topology) Topology {
	d.Retired = Retired{}
	for _, groups := range [][]SubTopology{before.Retired.Groups, before.SubTopologies} {
		for _, was := range groups {
			if now := d.group(was.Group); now != nil {
				d.retireStores(was, now)
				continue
			}
			was.Nodes = nil
			d.Retired.Groups = append(d.Retired.Groups, was)
		}
	}
	for _, was := range before.Retired.Stores {
		if now := d.group(was.Group); now == nil || now.store(was.Store.Name) == nil {
			d.Retired.Stores = append(d.Retired.Stores, was)
		}
	}
	topics := slices.Clone(before.Retired.Topics)
	for _, topic := range before.Topics {
		if topic.Kind == RepartitionTopic {
			topics = append(topics, topic.Name)
		}
	}
	for _, topic := range topics {
		if d.topic(topic) == nil {
			d.Retired.Topics = append(d.Retired.Topics, topic)
		}
	}
	return d
}

func (d *Topology) retireStores(was SubTopology, now *SubTopology) {
	for _, store := range was.Stores {
		if now.store(store.Name) == nil {
			d.Retired.Stores = append(d.Retired.Stores, RetiredStore{Group: was.Group, Store: store})
		}
	}
}

// Deleted returns d without groups whose changelog is gone and without repartition topics that are gone: what begins
// again has no state that it must fit.
func (d Topology) Deleted(gone func(topic string) bool) Topology {
	changelogs := make(map[string]string) // by group
	remain := func(groups []SubTopology) (kept []SubTopology) {
		for _, group := range groups {
			if !gone(group.Changelog) {
				kept = append(kept, group)
				changelogs[group.Group] = group.Changelog
			}
		}
		return kept
	}
	d.SubTopologies = remain(d.SubTopologies)
	kept := Retired{Groups: remain(d.Retired.Groups)}
	for _, store := range d.Retired.Stores {
		if changelogs[store.Group] != "" {
			kept.Stores = append(kept.Stores, store)
		}
	}
	for _, topic := range d.Retired.Topics {
		if !gone(topic) {
			kept.Topics = append(kept.Topics, topic)
		}
	}
	d.Retired = kept
	var topics []Topic
	for _, topic := range d.Topics {
		if topic.Kind != ExternalTopic && gone(topic.Name) {
			continue
		}
		began := func(group string) bool { return changelogs[group] == "" }
		topic.ReadBy = slices.DeleteFunc(slices.Clone(topic.ReadBy), began)
		topic.WrittenBy = slices.DeleteFunc(slices.Clone(topic.WrittenBy), began)
		topics = append(topics, topic)
	}
	d.Topics = topics
	return d
}

// InternalTopics returns the names of the topics that belong to the application, retired ones included.
func (d Topology) InternalTopics() []string {
	var topics []string
	for _, topic := range d.Topics {
		if topic.Kind != ExternalTopic {
			topics = append(topics, topic.Name)
		}
	}
	for _, group := range d.Retired.Groups {
		topics = append(topics, group.Changelog)
	}
	return append(topics, d.Retired.Topics...)
}
