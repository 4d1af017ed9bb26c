package topology

import "fmt"

// foreignJoin is a foreign-key join while it is built: node makes the results, subscriptions is the node of the right
// side.
type foreignJoin[K, V, FK, W any] struct {
	name          string
	left          Table[K, V]
	right         Table[FK, W]
	all           bool // every left row has a result
	node          *node
	subscriptions *node
}

func newForeignJoin[K, V, FK, W any](left Table[K, V], right Table[FK, W], kind, name string) foreignJoin[K, V, FK, W] {
	j := foreignJoin[K, V, FK, W]{name: name, left: left, right: right}
	j.node = &node{graph: left.graph(), kind: kind, site: callSite()} // registered after the nodes that it is connected with
	j.node.setName(name)
	return j
}

// check records mistakes in the two tables, and reports whether there are none.
func (j *foreignJoin[K, V, FK, W]) check() bool {
	b, n := j.node.graph, j.node
	if j.right.out == nil {
		b.errorf(n, "the table is the zero Table; tables are made by topology.TableOf and aggregations")
		return false
	}
	known := true
	for _, side := range []struct {
		what       string
		key, value bool
	}{
		{"left", j.left.keys.codec != nil, j.left.view.value != nil},
		{"right", j.right.keys.codec != nil, j.right.view.value != nil},
	} {
		if !side.key {
			b.errorf(n, "it is not known how the keys of the %s table are encoded; send it through a topic first", side.what)
		}
		if !side.value {
			b.errorf(n, "it is not known how the values of the %s table are encoded; keep it in a store with Materialize, "+
				"or join it before its values are mapped", side.what)
		}
		known = known && side.key && side.value
	}
	return j.right.keys.copartitioned(n) && n.sameBuilder(j.right.out.node) && known
}

// exchange registers the sink and the source of one of the two topics. The topic has as many partitions as the other
// inputs of its reader.
func (j *foreignJoin[K, V, FK, W]) exchange(suffix string) (sink, source *node) {
	b, site := j.node.graph, j.node.site
	r := &repartition{name: j.name, suffix: suffix, follows: true}
	topic := fmt.Sprintf("%s-%s%s", b.app, j.name, suffix)
	r.sink = &node{graph: b, kind: "sink", site: site, topic: topic, repartition: r}
	b.register(r.sink)
	r.source = &node{graph: b, kind: "source", site: site, topic: topic, repartition: r}
	b.register(r.source)
	return r.sink, r.source
}
