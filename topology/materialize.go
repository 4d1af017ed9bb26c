package topology

import (
	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology/engine"
)

// Materialize keeps the rows of the table in a store with the given name, so that they can be queried and are not
// computed again for each join. Changes are forwarded as they come. (Kafka Streams: Materialized.as.) Aggregations, and
// tables that are read from a topic, have a store already.
//
// With [Versioned] the store keeps the history. Without it, the store of a versioned table takes late updates for the
// latest ones, as in Kafka Streams.
func (t Table[K, V]) Materialize(name string, value codecs.Codec[V], opts ...StoreOption) Table[K, V] {
	n, o := t.graph().storeNode("materialize", name, opts)
	n.require(value != nil, "value codec")
	store := keepTable(n, t.keys.codec, value, o)
	out := then(t.out, n, func(h *engine.Host, next receiver[change[K, V]]) receiver[change[K, V]] {
		rows, kept := store.update(h, n, t.keys, next), new(change[K, V])
		return func(c *change[K, V]) error {
			h.Enter(n)
			*kept = *c
			kept.Began = false
			encoded, _, err := rows.begin(kept)
			if err != nil {
				return err
			}
			if ok, err := rows.end(encoded, kept); err != nil || !ok {
				return err
			}
			return next(kept)
		}
	})
	return Table[K, V]{out: out, keys: t.keys, view: store.view()}
}
