package topology

import "slices"

// Retired is what earlier versions of an application left behind on the cluster and what it does not use any more.
type Retired struct {
	// Groups are the groups that are gone, without their nodes: their changelogs and offsets are still there.
	Groups []SubTopologyDescription `json:"groups,omitempty"`
	// Stores are those that are gone from groups that go on: their rows are still in the changelogs.
	Stores []RetiredStore `json:"stores,omitempty"`
	// Topics are repartition topics.
	Topics []string `json:"topics,omitempty"`
}

// RetiredStore is a store that its group does not keep any more.
type RetiredStore struct {
	Group string           `json:"group"`
	Store StoreDescription `json:"store"`
}

// After returns d as the successor of before, the description that was stored so far: it remembers what before used and d does
// not.
func (d Description) After(before Description) Description {
	d.Retired = Retired{}
	for _, groups := range [][]SubTopologyDescription{before.Retired.Groups, before.SubTopologies} {
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

func (d *Description) retireStores(was SubTopologyDescription, now *SubTopologyDescription) {
	for _, store := range was.Stores {
		if now.store(store.Name) == nil {
			d.Retired.Stores = append(d.Retired.Stores, RetiredStore{Group: was.Group, Store: store})
		}
	}
}

// Deleted returns d without what was in topics that do not exist any more: groups whose changelog is gone, and repartition
// topics. What begins anew has nothing to fit to.
func (d Description) Deleted(gone func(topic string) bool) Description {
	changelogs := make(map[string]string) // by group
	remain := func(groups []SubTopologyDescription) (kept []SubTopologyDescription) {
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
	var topics []TopicDescription
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

// InternalTopics returns the names of the topics that belong to the application, those left behind included.
func (d Description) InternalTopics() []string {
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

// find returns the first that is meant, nil if there is none.
func find[T any](all []T, meant func(one *T) bool) *T {
	for i := range all {
		if meant(&all[i]) {
			return &all[i]
		}
	}
	return nil
}

func (d *Description) group(name string) *SubTopologyDescription {
	return find(d.SubTopologies, func(sub *SubTopologyDescription) bool { return sub.Group == name })
}

func (d *Description) topic(name string) *TopicDescription {
	return find(d.Topics, func(topic *TopicDescription) bool { return topic.Name == name })
}

func (d *SubTopologyDescription) store(name string) *StoreDescription {
	return find(d.Stores, func(store *StoreDescription) bool { return store.Name == name })
}

// keeper returns the sub-topology that keeps the store with the given name.
func (d *Description) keeper(store string) *SubTopologyDescription {
	return find(d.SubTopologies, func(sub *SubTopologyDescription) bool { return sub.store(store) != nil })
}

// reads reports whether the group reads the topic.
func (d *Description) reads(group, topic string) bool {
	t := d.topic(topic)
	return t != nil && slices.Contains(t.ReadBy, group)
}
