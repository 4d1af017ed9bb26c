package describe

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// store compares two versions of a store of the same group.
func (c *comparison) store(sub *SubTopology, was, now *Store) {
	rebuild := func(what, effect string) {
		c.add(Change{
			Meaning: MeansRebuild, Group: sub.Group, Store: now.Name,
			What:   fmt.Sprintf("store %q of group %s %s", now.Name, sub.Group, what),
			Effect: effect, Remedy: anotherName(sub, now),
		})
	}
	switch {
	case was.Kind != now.Kind:
		rebuild(fmt.Sprintf("is a %s store instead of a %s store", now.Kind, was.Kind), "its rows cannot be read")
		c.changes[len(c.changes)-1].Final = true
		return // the other differences follow from that
	case was.OperatorKind != now.OperatorKind:
		rebuild(fmt.Sprintf("is written by %s instead of %s", now.OperatorKind, was.OperatorKind),
			"it would go on with rows that mean something else")
	}
	if was.windows() != now.windows() {
		rebuild(fmt.Sprintf("has windows of %s instead of %s", now.windows(), was.windows()),
			"its rows are those of other windows")
		return
	}
	if was.Of != now.Of {
		rebuild(fmt.Sprintf("is an index of %q instead of %q", now.Of, was.Of), "it would lead to rows that are not there")
		return
	}
	c.sources(sub, was, now, rebuild)
	c.lifetime(sub, now, "retention", was.Retention, now.Retention)
	if was.TTL == 0 && now.TTL != 0 {
		c.add(Change{
			Meaning: MeansRebuild, Group: sub.Group, Store: now.Name,
			What:   fmt.Sprintf("store %q of group %s has a TTL of %v, and had none", now.Name, sub.Group, now.TTL),
			Effect: "the rows that there are lack the index by which they would expire",
			Remedy: fmt.Sprintf("stop all instances, delete the folder %s in the state directories, so that the rows are restored with the index, "+
				"and accept the change", sub.Group),
		})
		return
	}
	c.lifetime(sub, now, "TTL", was.TTL, now.TTL)
}

// windows says which windows a store has.
func (s *Store) windows() string {
	if s.Calendar != "" {
		return "a " + s.Calendar
	}
	return s.WindowSize.String()
}

// anotherName returns the remedy for a store whose rows cannot be used.
func anotherName(sub *SubTopology, store *Store) string {
	begins := "begins empty"
	if store.Of != "" {
		begins = "is built from the rows of its table"
	}
	return fmt.Sprintf("give the store another name: that one %s; or build all of the group anew: stop the application and delete %s", begins, leftBy(sub))
}

// lifetime compares how long rows are kept; 0 means forever.
func (c *comparison) lifetime(sub *SubTopology, store *Store, what string, was, now time.Duration) {
	if was == now {
		return
	}
	change := Change{
		Meaning: MeansNothing, Group: sub.Group, Store: store.Name,
		What:   fmt.Sprintf("store %q of group %s has a %s of %s instead of %s", store.Name, sub.Group, what, lifetimeText(now), lifetimeText(was)),
		Effect: "rows that are there are kept longer; those that have expired do not come back",
	}
	if was == 0 || now != 0 && now < was {
		change.Meaning, change.Effect = MeansExpiry, "rows that are older expire"
	}
	c.add(change)
}

func lifetimeText(d time.Duration) string {
	if d == 0 {
		return "no end"
	}
	return d.String()
}

// sources compares the topics that a store is made from.
func (c *comparison) sources(sub *SubTopology, was, now *Store, rebuild func(what, effect string)) {
	added, gone := without(now.Sources, was.Sources), without(was.Sources, now.Sources)
	switch {
	case len(added) > 0 && len(gone) == len(was.Sources):
		rebuild(fmt.Sprintf("is made from %s instead of %s", strings.Join(now.Sources, ", "), strings.Join(was.Sources, ", ")),
			"its rows are of records that have nothing to do with those to come")
	case len(added)+len(gone) > 0:
		var words []string
		for _, topic := range added {
			words = append(words, "+ "+topic)
		}
		for _, topic := range gone {
			words = append(words, "- "+topic)
		}
		c.add(Change{
			Meaning: MeansNothing, Group: sub.Group, Store: now.Name,
			What:   fmt.Sprintf("store %q of group %s is made from other topics: %s", now.Name, sub.Group, strings.Join(words, ", ")),
			Effect: "its rows stay",
		})
	}
}

// without returns the strings of all that are not in these.
func without(all, these []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(these, s) })
}

// newStore adds the change of a store that its group did not have: what the store begins with.
func (c *comparison) newStore(sub *SubTopology, store *Store) {
	change := Change{Meaning: MeansNew, Group: sub.Group, Store: store.Name, What: fmt.Sprintf("store %q in group %s", store.Name, sub.Group)}
	history := c.history(store)
	switch was := c.before.keeper(store.Name); {
	case was != nil:
		change.Meaning = MeansMoved
		change.What = fmt.Sprintf("store %q is kept by group %s instead of %s", store.Name, sub.Group, was.Group)
		change.Effect = fmt.Sprintf("its rows stay behind in topic %s, and the new table %s", was.Changelog, history)
		change.Remedy = c.keep(sub, was.Group)
	case c.wasRetired(sub.Group, store.Name):
		change.Meaning = MeansRebuild
		change.What = fmt.Sprintf("store %q is back in group %s", store.Name, sub.Group)
		change.Effect = fmt.Sprintf("its rows of then are still in topic %s, and lack what happened since", sub.Changelog)
		change.Remedy = anotherName(sub, store)
	case store.Of != "" && c.before.keeper(store.Of) != nil:
		change.Effect = fmt.Sprintf("it is built from the rows of store %q before anything is processed", store.Of)
	default:
		change.Effect = "it " + history
		if !c.complete(store) {
			change.Remedy = "if it needs the history, run the application under another name, so that everything is built anew"
		}
	}
	c.add(change)
}

// history says what a new store will hold.
func (c *comparison) history(store *Store) string {
	if c.complete(store) {
		return fmt.Sprintf("starts empty and is built from the first record that there is in %s", strings.Join(store.Sources, ", "))
	}
	return "starts empty and fills from now on: what was read before is not in it"
}

// complete reports whether all topics that reach a store will be read from their first records on.
func (c *comparison) complete(store *Store) bool {
	for _, source := range store.Sources {
		t := c.after.topic(source)
		if t == nil || c.begin(source) != c.begin("") || slices.ContainsFunc(t.ReadBy, func(group string) bool { return c.before.reads(group, source) }) {
			return false
		}
	}
	return len(store.Sources) > 0
}

func (c *comparison) wasRetired(group, store string) bool {
	return slices.ContainsFunc(c.before.Retired.Stores, func(r RetiredStore) bool { return r.Group == group && r.Store.Name == store })
}

// movedAway reports whether another group keeps the store now.
func (c *comparison) movedAway(store string) bool { return c.after.keeper(store) != nil }
