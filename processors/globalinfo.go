package processors

import (
	"context"

	"github.com/seed84377926/millrace/state/pebblestore"
)

// GlobalInfo describes the copy of a global table on this instance.
type GlobalInfo struct {
	Name       string `json:"name"`
	Topic      string `json:"topic"`
	Partitions int32  `json:"partitions"`
	Records    int64  `json:"records"`           // read since the start
	Lag        int64  `json:"lag"`               // offsets of the topic that the copy does not reflect yet, as of a few seconds ago
	Damaged    int64  `json:"damaged,omitempty"` // how often it was found damaged, dropped and read again
	DiskBytes  int64  `json:"disk_bytes,omitempty"`
	Goka       any    `json:"goka"` // goka's own statistics of the view
}

func (g *globals) info(ctx context.Context) []GlobalInfo {
	var infos []GlobalInfo
	for _, t := range g.tables {
		info := GlobalInfo{
			Name: t.plan.Name, Topic: t.plan.Topic, Partitions: t.plan.partitions,
			Records: t.records.Load(), Lag: t.remaining(), Damaged: t.copy.Damaged(),
		}
		if engine, ok := t.engine.(pebblestore.Measured); ok {
			if m, err := engine.Metrics(); err == nil { // an engine that is closed has none
				info.DiskBytes = m.DiskBytes
			}
		}
		if t.view != nil {
			info.Goka = t.view.Stats(ctx)
		}
		infos = append(infos, info)
	}
	return infos
}

func (t *textTable) globals(globals []GlobalInfo) {
	if len(globals) == 0 {
		return
	}
	t.section()
	t.line("")
	t.line("  GLOBAL TABLE\tTOPIC\tPARTITIONS\tRECORDS\tLAG\tDISK")
	for _, g := range globals {
		t.line("  %s\t%s\t%d\t%d\t%d\t%s", g.Name, g.Topic, g.Partitions, g.Records, g.Lag, bytesText(g.DiskBytes))
	}
}
