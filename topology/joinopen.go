package topology

import (
	"errors"
	"time"

	"github.com/seed84377926/millrace/state"
)

// streamJoin is a join of two streams.
type streamJoin[K, V, W, R any] struct {
	node        *node
	windows     joinMillis // of the left records
	kind        joinKind
	join        func(l *V, r *W) R
	keys        keying[K]
	values      sideCodecs[V, W]
	left, right joined
	unmatched   *storeInfo // nil in an inner join
	reencode    bool       // the keys of the right side may have another encoding
	out         *port[item[K, R]]
}

// joined is the store of one side of a join.
type joined struct {
	*storeInfo
	keep int64 // records are seen up to so many milliseconds before the time of the store
}

// keepJoined registers the store of one side of a join.
func keepJoined(n *node, part string, keep int64) joined {
	return joined{keep: keep, storeInfo: n.keepPart(part, joinSpec(keep))}
}

// joinSpec describes the store of one side of a join. Its retention must not be 0, which means forever.
func joinSpec(keep int64) state.Spec {
	return state.Spec{Kind: state.JoinKind, Retention: time.Duration(max(keep, 1)) * time.Millisecond}
}

// keepPart registers a store of n, which has several.
func (n *node) keepPart(part string, spec state.Spec) *storeInfo {
	spec.Name = n.name + "-" + part
	if other := n.builder.names[spec.Name]; other != nil {
		n.builder.errorf(n, "its store %q has the name of the %s at %s; names are unique in a topology",
			spec.Name, other.kind, other.site)
	} else {
		n.builder.names[spec.Name] = n
	}
	return n.keep(spec)
}

// openJoin is a join of two streams in a task.
type openJoin[K, V, W, R any] struct {
	left  streamSide[K, V, W, R]
	right streamSide[K, W, V, R]
}

// open returns the join in t, the same to both of its inputs.
func (j *streamJoin[K, V, W, R]) open(t *Task) *openJoin[K, V, W, R] {
	return once(t, j, func() *openJoin[K, V, W, R] {
		left := openBuffer(t, j.left, j.keys.codec, j.values.left)
		right := openBuffer(t, j.right, j.keys.codec, j.values.right)
		results := &joinResults[K, R]{next: j.out.receiver(t)}
		o := &openJoin[K, V, W, R]{
			left: streamSide[K, V, W, R]{
				task: t, node: j.node, keys: j.keys, windows: j.windows, results: results,
				own: left, other: right, side: state.LeftSide, otherSide: state.RightSide, join: j.join,
			},
			right: streamSide[K, W, V, R]{
				task: t, node: j.node, keys: j.keys, windows: j.windows.reversed(), results: results, reencode: j.reencode,
				own: right, other: left, side: state.RightSide, otherSide: state.LeftSide,
				join: func(r *W, l *V) R { return j.join(l, r) },
			},
		}
		switch j.kind {
		case innerJoin:
			left.clock = t.clockFor(j.left.spec.Name, clockHooks{expire: left.expire})
			right.clock = t.clockFor(j.right.spec.Name, clockHooks{expire: right.expire})
			return o
		case leftJoin:
			right.clock = t.clockFor(j.right.spec.Name, clockHooks{expire: right.expire})
		case outerJoin:
		}
		j.openUnmatched(t, o)
		return o
	})
}

// openUnmatched lets records without a match come out.
func (j *streamJoin[K, V, W, R]) openUnmatched(t *Task, o *openJoin[K, V, W, R]) {
	left, right := &o.left, &o.right
	rows, err := state.NewTimeQueue(j.unmatched.spec, t.cfg.State, t.cfg.Budget, j.keys.codec, unmatchedCodec[V, W]{j.values})
	if err != nil {
		t.fail(err)
		return
	}
	t.stores = append(t.stores, rows)
	q := &waiting[K, V, W, R]{
		task: t, node: j.node, rows: rows, join: j.join, results: left.results,
		left: left.windows.closing(), right: right.windows.closing(),
	}
	forget := func(key []byte, place state.QueuePlace) error {
		_, err := rows.RemoveEncoded(key, place)
		return err
	}
	expire := left.own.expire
	left.wait, right.matched = q.addLeft, forget
	if j.kind == outerJoin {
		right.wait, left.matched = q.addRight, forget
		expire = func(now int64) error { return errors.Join(left.own.expire(now), right.own.expire(now)) }
	}
	time := t.clockFor(j.unmatched.spec.Name, clockHooks{expire: expire, emit: q.emit, node: j.node, reach: 2 * (max(q.left, 0) + max(q.right, 0) + 1)})
	q.oldest = t.clockFor(j.unmatched.spec.Name+"/oldest", clockHooks{})
	left.time, right.time, left.emit, right.emit, left.own.clock = time, time, q.emitDue, q.emitDue, time
	if j.kind == outerJoin {
		right.own.clock = time
	}
}
