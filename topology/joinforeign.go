package topology

import (
	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology/engine"
)

// JoinForeign joins each row of the table with a row of right: foreignKey returns the key of the right row for a left
// row. The result has the key of the left row and the value that join makes from both. A left row without a foreign key
// (foreignKey returns false, counted as a drop), or whose right row does not exist, has no result. Changes of both
// sides change the results: a change of a right row changes the results of all left rows that refer to it. The results
// are kept in a store with the given name, encoded by codec.
//
// The sides may be partitioned differently. The left side sends the foreign keys of its rows through the topic
// <app>-<name>-subscription-registration, and the right side answers through <app>-<name>-subscription-response. The
// right side keeps the references in the store <name>-subscriptions. An answer to a row that has changed since is
// dropped and counted: the row has asked again. A result has the timestamp and the headers of the change that led to
// it. If a change of the left row finds a right row with a later timestamp, the result has that timestamp.
//
// As in Kafka Streams, a deletion may be forwarded more than once, because neither side knows whether there was a
// result. Changes of versioned tables that are out of order are dropped and counted (docs/semantics.md, Foreign keys;
// KIP-213, KIP-914, KIP-1104).
func (t Table[K, V]) JoinForeign[FK, W, R any](
	name string, right Table[FK, W], foreignKey func(key K, value V) (FK, bool), join func(value V, row W) R, codec codecs.Codec[R],
) Table[K, R] {
	j := newForeignJoin(t, right, "join-foreign", name)
	j.node.require(foreignKey != nil, "function that finds the foreign key")
	j.node.require(join != nil, "function")
	return wireForeign(j, foreignKey, func(value V, row *W) R { return join(value, *row) }, codec)
}

// LeftJoinForeign is [Table.JoinForeign] in which every left row has a result: join gets nil if the row has no foreign
// key or if the right row does not exist. The pointer row is valid only during the call.
func (t Table[K, V]) LeftJoinForeign[FK, W, R any](
	name string, right Table[FK, W], foreignKey func(key K, value V) (FK, bool), join func(value V, row *W) R, codec codecs.Codec[R],
) Table[K, R] {
	j := newForeignJoin(t, right, "left-join-foreign", name)
	j.node.require(foreignKey != nil, "function that finds the foreign key")
	j.node.require(join != nil, "function")
	j.all = true
	return wireForeign(j, foreignKey, join, codec)
}

// wireForeign connects the two sides:
//
//	left ──▶ ask ──▶ topic ──▶ subscriptions ──▶ topic ──▶ node ──▶ results
//	                 right ────────▲
func wireForeign[K, V, FK, W, R any](
	j foreignJoin[K, V, FK, W], foreignKey func(K, V) (FK, bool), join func(V, *W) R, codec codecs.Codec[R],
) Table[K, R] {
	rows := keepTable(j.node, j.left.keys.codec, codec, storeOptions{})
	out := &port[change[K, R]]{node: j.node}
	result := Table[K, R]{out: out, keys: j.left.keys, view: rows.view()}
	j.node.require(codec != nil, "codec of the results")
	if !j.check() {
		j.node.graph.register(j.node)
		return result
	}
	ask, asked := j.exchange("-subscription-registration")
	j.subscriptions = &node{graph: j.node.graph, kind: "foreign-subscriptions", site: j.node.site}
	j.node.graph.register(j.subscriptions)
	j.node.graph.claimName(j.subscriptions, j.node, j.name+"-subscriptions")
	reply, replied := j.exchange("-subscription-response")
	j.node.graph.register(j.node)

	j.ask(ask, foreignKey)
	j.reply(reply, j.answer(j.receiveSubscriptions(asked)))
	link(j.receiveAnswers(replied), j.node, func(h *engine.Host) receiver[incomingAnswer[K, W]] {
		return j.resolve(h, rows, join, out.receiver(h))
	})
	j.left.view.connect(j.node)
	if !j.all {
		j.node.wantsOld = true
		link(j.left.out, j.node, func(h *engine.Host) receiver[change[K, V]] { return j.retract(h, rows, foreignKey, out.receiver(h)) })
	}
	return result
}
