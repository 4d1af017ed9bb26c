package topology

import "github.com/seed84377926/millrace/codecs"

// ToTable makes the stream a table, kept in a store with the given name: each record replaces the value of its key,
// whatever its timestamp, and a null value deletes the key (docs/semantics.md, Order of updates). A record with a null
// key is dropped. With [Versioned], timestamps count and old values are kept.
//
// Each record must be in the partition that the partitioner chooses for its key. [Stream.Rekey] breaks this, so call
// [Stream.Repartition] after it and before ToTable.
func (s Stream[K, V]) ToTable(name string, value codecs.Codec[V], opts ...StoreOption) Table[K, V] {
	n, o := s.graph().storeNode("to-table", name, opts)
	n.require(value != nil, "value codec")
	s.keys.copartitioned(n)
	return keepRecords(s, n, value, o)
}
