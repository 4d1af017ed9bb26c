package topologytest

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
)

// store prints the rows of a store.
func (s *script) store(name string) (string, error) {
	ref, ok := s.top.Table(name)
	if slices.ContainsFunc(s.top.Globals(), func(g topology.Global) bool { return g.Name == name }) {
		ref, ok = state.TableRef{Store: state.Spec{Name: name, Kind: state.KeyValueKind}}, true
	}
	if !ok {
		return "", fmt.Errorf("there is no store %q", name)
	}
	p := &rowPrinter{format: s.formats[name]}
	switch ref.Store.Kind {
	case state.WindowKind:
		for _, row := range Windows(s.d, name, codecs.Bytes, codecs.Bytes) {
			p.row(row.Key, fmt.Sprintf("@%d/%d", row.Window.Start, row.Window.End), row.Value, fmt.Sprint(row.Timestamp))
		}
	case state.SessionKind:
		for _, row := range Sessions(s.d, name, codecs.Bytes, codecs.Bytes) {
			p.row(row.Key, fmt.Sprintf("@%d/%d", row.Session.Start, row.Session.End), row.Value, fmt.Sprint(row.Timestamp))
		}
	case state.VersionedKind:
		for _, row := range Versions(s.d, name, codecs.Bytes, codecs.Bytes) {
			valid := fmt.Sprint(row.ValidFrom)
			if row.ValidTo < math.MaxInt64 {
				valid += fmt.Sprintf(" to %d", row.ValidTo)
			}
			p.row(row.Key, "", row.Value, valid)
		}
	case state.KeyValueKind:
		for _, row := range Rows(s.d, name, codecs.Bytes, codecs.Bytes) {
			p.row(row.Key, "", row.Value, fmt.Sprint(row.Timestamp))
		}
	case state.IndexKind:
		p.format = s.formats[ref.Store.Of]
		for _, row := range IndexRows(s.d, name, codecs.Bytes, codecs.Bytes, codecs.Bytes) {
			index, err := s.formats[name].key().Print(row.Index)
			if err != nil {
				return "", err
			}
			p.lead = index + " > "
			p.row(row.Key, "", row.Value, fmt.Sprint(row.Timestamp))
		}
	default:
		return "", fmt.Errorf("the rows of %v store %q are for its operator only; scripts see what comes out of it", ref.Store.Kind, name)
	}
	return p.out.String(), p.err
}

// rowPrinter prints rows until one cannot be printed.
type rowPrinter struct {
	format Format
	lead   string // before each row
	out    strings.Builder
	err    error
}

func (p *rowPrinter) row(key []byte, span string, value []byte, time string) {
	if p.err != nil {
		return
	}
	line, err := p.format.print(key, span, value)
	if err != nil {
		p.err = err
		return
	}
	fmt.Fprintf(&p.out, "%s%s @%s\n", p.lead, line, time)
}
