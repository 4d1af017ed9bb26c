// Package describe holds topologies as data: what a program is made of, without the functions and codecs that only the
// program has. Topology.Description of package topology returns a [Topology]; processors record it on the cluster.
//
// # What is done with it
//
//	            ┌──▶ String       text in the manner of Kafka Streams, for golden files
//	Topology ───┼──▶ DOT          a picture, for Graphviz
//	            ├──▶ JSON         what is stored (docs/formats.md) and served
//	            └──▶ Fingerprint  equal if instances of two versions may run side by side
//
//	Compare(before, after) ──▶ Changes, each with a [Meaning] for the state that the version before left
//	after.After(before)    ──▶ after, with what before used and after does not use any more ([Retired])
//
// A deployment compares the stored description with its own. It goes on if no change is refused ([Meaning.Refused]), or
// if the user has accepted exactly these changes ([Changes.Fingerprint]).
//
// # Invariants
//
//   - DS1: JSON and fingerprints are stored on clusters and in settings. JSON members are only added; the facts of a fingerprint,
//     and the What of a [Change], keep their words.
//   - DS2: Two topologies with equal fingerprints have no change between them that is refused.
//   - DS3: A change is refused if it loses state, spoils state, or makes results a second time.
//
// # What it does not do
//
// It cannot see a change of a function or of a codec. It knows no cluster: [Topology.Deleted] is told which topics are
// gone. The package is pure, and its functions do not modify what they are given.
package describe
