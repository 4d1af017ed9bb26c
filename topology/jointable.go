package topology

// JoinTable joins each record of the stream with the row that the table has for its key at that moment: the result has the
// key, timestamp and headers of the record and the value that join makes of both. A record without a row has no result.
// Changes of the table trigger nothing. Records with a null key or a null value are dropped.
//
// Both sides must be partitioned alike: by the same key with the same codec, and with the same number of partitions.
func (s Stream[K, V]) JoinTable[W, R any](
	table Table[K, W], join func(value V, row W) R, opts ...NodeOption,
) Stream[K, R] {
	n := s.builder().node("join-table", opts)
	n.require(join != nil, "function")
	if table.out == nil {
		n.builder.errorf(n, "the table is the zero Table; tables are made by topology.TableOf and aggregations")
		return Stream[K, R]{out: &port[item[K, R]]{node: n}, keys: s.keys}
	}
	table.view.connect(n)
	if s.keys.copartitioned(n) && table.keys.copartitioned(n) {
		s.keys.sameEncoding(n, table.keys, table.out.node)
	}
	shared := sameCodec(s.keys.codec, table.keys.codec)
	out := then(s.out, n, func(t *Task, next receiver[item[K, R]]) receiver[item[K, V]] {
		rows := table.view.open(t)
		own, joined := new(encodedKey), new(item[K, R])
		return func(it *item[K, V]) error {
			t.at = n
			switch {
			case it.NullKey:
				t.drop(n, DropNullKey)
				return nil
			case it.NullValue:
				t.drop(n, DropNullValue)
				return nil
			}
			memo := it.key
			if !shared {
				own.reset()
				memo = own
			}
			encoded, err := table.keys.encode(t, n, memo, it.Key)
			if err != nil {
				return err
			}
			row, _, ok, err := rows(it.Key, encoded)
			if err != nil {
				return t.nodeError(n, err)
			}
			if !ok {
				return nil
			}
			joined.Record = Record[K, R]{Key: it.Key, Value: join(it.Value, row), Timestamp: it.Timestamp, Headers: it.Headers}
			joined.key = it.key
			return next(joined)
		}
	})
	return Stream[K, R]{out: out, keys: s.keys}
}
