package topology

import (
	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology/engine"
)

// Table is the latest value for each key. It is made by [TableOf], by aggregations and by operators on tables.
type Table[K, V any] struct {
	out  *port[change[K, V]]
	keys keying[K]
	view *view[K, V]
}

// TableOf reads a topic as a table: each record replaces the value of its key, whatever its timestamp, and a null value
// deletes the key. A record with a null key is dropped. The rows are kept in a store with the name of the topic; if
// this is not a valid name of a store, choose one with [Named]. With [Versioned], timestamps count and old values are
// kept.
func TableOf[K, V any](b *Builder, topic string, key codecs.Codec[K], value codecs.Codec[V], opts ...TableOption) Table[K, V] {
	var o tableOptions
	var all []NodeOption
	for _, opt := range opts {
		if opt == nil {
			all = append(all, nil)
			continue
		}
		opt.applyTable(&o)
	}
	source := b.node("source", nil)
	stream := read(source, topic, key, value, o.sourceOptions)
	n := b.node("table", append(all, o.nodeOptions))
	if !n.named {
		n.name = topic
		b.nameTable(n)
	}
	o.validate(n)
	return keepRecords(stream, n, value, o.storeOptions)
}

// keepRecords makes n the table of the records of a stream.
func keepRecords[K, V any](s Stream[K, V], n *node, value codecs.Codec[V], o storeOptions) Table[K, V] {
	store := keepTable(n, s.keys.codec, value, o)
	out := then(s.out, n, func(h *engine.Host, next receiver[change[K, V]]) receiver[item[K, V]] {
		rows, c := store.update(h, n, s.keys, next), new(change[K, V])
		return func(it *item[K, V]) error {
			h.Enter(n)
			if it.NullKey {
				h.Drop(n, DropNullKey, it.Timestamp)
				return nil
			}
			*c = change[K, V]{
				Key: it.Key, New: it.Value, HasNew: !it.NullValue, Timestamp: it.Timestamp, Headers: it.Headers, key: it.key,
			}
			encoded, _, err := rows.begin(c)
			if err != nil {
				return err
			}
			if kept, err := rows.end(encoded, c); err != nil || !kept {
				return err
			}
			return next(c)
		}
	})
	return Table[K, V]{out: out, keys: s.keys, view: store.view()}
}

// nameTable gives a table the name of its topic.
func (g *graph) nameTable(n *node) {
	if checkTopic(n.name) != nil {
		return // an error of the source
	}
	if checkName(n.name) != nil {
		g.errorf(n, "the name of topic %q cannot be that of a store; choose one with topology.Named", n.name)
		return
	}
	if other := g.names[n.name]; other != nil {
		g.errorf(n, "the name %q is taken by the %s at %s; choose one with topology.Named", n.name, other.kind, other.site)
		return
	}
	g.names[n.name] = n
}

func (t Table[K, V]) graph() *graph {
	if t.out == nil {
		panic("topology: method of the zero Table called; tables are made by topology.TableOf and aggregations")
	}
	return t.out.node.graph
}
