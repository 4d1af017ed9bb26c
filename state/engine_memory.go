package state

import (
	"bytes"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/seed84377926/millrace/internal/invariants"
)

// NewMemory returns an engine that keeps everything in memory and loses it in Close. It is for tests, and for state
// that may be restored from the changelog at each start.
func NewMemory() Engine {
	m := &memoryEngine{}
	m.mu.parts = map[int32]*memoryPartition{}
	return m
}

type memoryEngine struct {
	closed atomic.Bool
	mu     struct {
		sync.Mutex
		parts map[int32]*memoryPartition
	}
}

// memoryPartition publishes immutable versions. A reader keeps the version that it began with, without locks.
type memoryPartition struct {
	engine *memoryEngine
	apply  invariants.Guard // ST7: Apply and Drop
	write  sync.Mutex       // held while a new version is made from the current one
	now    atomic.Pointer[memoryVersion]

	released atomic.Bool // until it is opened again
}

func (p *memoryPartition) closed() bool { return p.engine.closed.Load() || p.released.Load() }

// memoryVersion is a partition at one moment. Rows are in sorted blocks. A new version shares the blocks that a batch
// did not change:
//
//	version 7   [a c d] [f g h] [k m]
//	                │       │     └── the same block in both
//	Set e, f        │       └────┐
//	version 8   [a c d] [e f g h] [k m]
type memoryVersion struct {
	blocks    [][]Row // none empty
	offset    int64
	hasOffset bool
}

const (
	maxBlock  = 128 // rows; larger blocks are cut
	fullBlock = 64  // rows of the resulting blocks, and the size up to which neighbours are joined
)

func (m *memoryEngine) Open(p int32) (Partition, error) {
	if err := checkPartition(p); err != nil {
		return nil, err
	}
	if m.closed.Load() {
		return nil, ErrClosed
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	part, ok := m.mu.parts[p]
	if !ok {
		part = &memoryPartition{engine: m}
		part.now.Store(&memoryVersion{})
		m.mu.parts[p] = part
	}
	part.released.Store(false)
	return part, nil
}

func (m *memoryEngine) Partitions() ([]int32, error) {
	if m.closed.Load() {
		return nil, ErrClosed
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var ps []int32
	for _, p := range slices.Sorted(maps.Keys(m.mu.parts)) {
		if v := m.mu.parts[p].now.Load(); v.hasOffset || len(v.blocks) > 0 {
			ps = append(ps, p)
		}
	}
	return ps, nil
}

func (m *memoryEngine) Drop(p int32) error {
	if err := checkPartition(p); err != nil {
		return err
	}
	if m.closed.Load() {
		return ErrClosed
	}
	m.mu.Lock()
	part := m.mu.parts[p]
	m.mu.Unlock()
	if part != nil {
		part.apply.Enter("ST7", "Apply or Drop of a partition")
		defer part.apply.Exit()
		part.write.Lock()
		defer part.write.Unlock()
		part.now.Store(&memoryVersion{})
	}
	return nil
}

// Release keeps the rows: there is nowhere else to keep them.
func (m *memoryEngine) Release(p int32) error {
	if err := checkPartition(p); err != nil {
		return err
	}
	if m.closed.Load() {
		return ErrClosed
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if part := m.mu.parts[p]; part != nil {
		part.released.Store(true)
	}
	return nil
}

func (m *memoryEngine) Flush() error {
	if m.closed.Load() {
		return ErrClosed
	}
	return nil
}

func (m *memoryEngine) Close() error {
	m.closed.Store(true)
	return nil
}

func checkPartition(p int32) error {
	if p < 0 || p > MaxPartition {
		return fmt.Errorf("partition %d: want 0 to %d", p, MaxPartition)
	}
	return nil
}

func (p *memoryPartition) Get(dst, key []byte) ([]byte, bool, error) {
	if p.closed() {
		return dst, false, ErrClosed
	}
	return p.now.Load().Get(dst, key)
}

func (p *memoryPartition) Scan(lo, hi []byte) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		if p.closed() {
			yield(Row{}, ErrClosed)
			return
		}
		p.now.Load().Scan(lo, hi)(yield)
	}
}

func (p *memoryPartition) Snapshot(read func(Reader) error) error {
	if p.closed() {
		return ErrClosed
	}
	if !invariants.Enabled {
		return read(p.now.Load())
	}
	r := &lentReader{Reader: p.now.Load()}
	defer func() { r.ended = true }()
	return read(r)
}

func (v *memoryVersion) Get(dst, key []byte) ([]byte, bool, error) {
	b, i, found := v.find(key)
	if !found {
		return dst, false, nil
	}
	return append(dst, v.blocks[b][i].Value...), true, nil
}

func (v *memoryVersion) Scan(lo, hi []byte) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		if invariants.Enabled {
			yield = lendRows(yield)
		}
		b, i, _ := v.find(lo)
		for ; b < len(v.blocks); b, i = b+1, 0 {
			for _, row := range v.blocks[b][i:] {
				if hi != nil && bytes.Compare(row.Key, hi) >= 0 {
					return
				}
				if !yield(row, nil) {
					return
				}
			}
		}
	}
}

func (p *memoryPartition) Apply(b *Batch) error {
	if p.closed() {
		return ErrClosed
	}
	p.apply.Enter("ST7", "Apply or Drop of a partition")
	defer p.apply.Exit()
	p.write.Lock()
	defer p.write.Unlock()
	v := *p.now.Load()
	if offset, ok := b.Offset(); ok {
		v.offset, v.hasOffset = offset, true
	}
	if b.Len() > 0 {
		v.blocks = merge(v.blocks, lastOps(b))
	}
	p.now.Store(&v)
	return nil
}

func (p *memoryPartition) Offset() (int64, bool) {
	v := p.now.Load()
	return v.offset, v.hasOffset
}

// find returns the position of the first row that is not below key, and whether its key is key.
func (v *memoryVersion) find(key []byte) (block, pos int, found bool) {
	block = sort.Search(len(v.blocks), func(i int) bool {
		b := v.blocks[i]
		return bytes.Compare(b[len(b)-1].Key, key) >= 0
	})
	if block == len(v.blocks) {
		return block, 0, false
	}
	pos, found = slices.BinarySearchFunc(v.blocks[block], key, func(r Row, key []byte) int {
		return bytes.Compare(r.Key, key)
	})
	return block, pos, found
}

// lastOps returns the last change of each key, sorted by key.
func lastOps(b *Batch) []Op {
	ops := slices.AppendSeq(make([]Op, 0, b.Len()), b.Ops())
	slices.SortStableFunc(ops, func(x, y Op) int { return bytes.Compare(x.Key, y.Key) })
	n := 0
	for i, op := range ops {
		if i+1 < len(ops) && bytes.Equal(op.Key, ops[i+1].Key) {
			continue
		}
		ops[n] = op
		n++
	}
	return ops[:n]
}

// merge returns the blocks with the sorted ops applied. It modifies none of the old blocks.
func merge(blocks [][]Row, ops []Op) [][]Row {
	merged := make([][]Row, 0, len(blocks)+len(ops)/fullBlock+1)
	for i, block := range blocks {
		// Ops up to the block's last key belong to the block; the last block gets the rest.
		mine := len(ops)
		if i+1 < len(blocks) {
			last := block[len(block)-1].Key
			mine = sort.Search(len(ops), func(i int) bool { return bytes.Compare(ops[i].Key, last) > 0 })
		}
		if mine == 0 {
			merged = append(merged, block)
			continue
		}
		merged = appendBlock(merged, mergeBlock(block, ops[:mine]))
		ops = ops[mine:]
	}
	if len(blocks) == 0 {
		merged = appendBlock(merged, mergeBlock(nil, ops))
	}
	return merged
}

// appendBlock appends new rows as blocks. It joins them to the previous block if both are small, and cuts them if they
// are many.
func appendBlock(blocks [][]Row, rows []Row) [][]Row {
	if len(rows) == 0 {
		return blocks
	}
	if last := len(blocks) - 1; last >= 0 && len(blocks[last])+len(rows) <= fullBlock {
		blocks[last] = slices.Concat(blocks[last], rows)
		return blocks
	}
	if len(rows) <= maxBlock {
		return append(blocks, rows)
	}
	return slices.AppendSeq(blocks, slices.Chunk(rows, fullBlock))
}

func mergeBlock(block []Row, ops []Op) []Row {
	rows := make([]Row, 0, len(block)+len(ops))
	for len(block) > 0 || len(ops) > 0 {
		var order int
		switch {
		case len(ops) == 0:
			order = -1
		case len(block) == 0:
			order = 1
		default:
			order = bytes.Compare(block[0].Key, ops[0].Key)
		}
		if order < 0 {
			rows = append(rows, block[0])
			block = block[1:]
			continue
		}
		op := ops[0]
		ops = ops[1:]
		if op.Value != nil {
			rows = append(rows, copyRow(op))
		}
		if order == 0 {
			block = block[1:]
		}
	}
	return rows
}

// copyRow copies an op out of its batch, with one allocation for key and value.
func copyRow(op Op) Row {
	n := len(op.Key)
	data := make([]byte, n+len(op.Value))
	copy(data, op.Key)
	copy(data[n:], op.Value)
	return Row{Key: data[:n:n], Value: data[n:]}
}
