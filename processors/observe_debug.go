package processors

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// DebugHandler serves the result of [App.Info]: as a table for people, or as JSON if the request accepts
// application/json or has ?format=json. It answers GET and HEAD on any path. It shows topics, addresses and error
// messages, and no key or value of any record: it is for operators.
func (a *App) DebugHandler() http.Handler {
	return a.readOnly(func(w http.ResponseWriter, r *http.Request) error {
		info := a.Info(r.Context())
		if wants(r, "json", "application/json") {
			return writeJSON(w, info)
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		return info.WriteTable(w)
	})
}

// TopologyHandler serves the topology in the same way: as text, as JSON ([describe.Topology]), or as a Graphviz graph
// if the request accepts text/vnd.graphviz or has ?format=dot.
func (a *App) TopologyHandler() http.Handler {
	description := a.top.Description()
	return a.readOnly(func(w http.ResponseWriter, r *http.Request) error {
		text := description.String
		switch {
		case wants(r, "json", "application/json"):
			return writeJSON(w, description)
		case wants(r, "dot", "text/vnd.graphviz"):
			w.Header().Set("Content-Type", "text/vnd.graphviz; charset=utf-8")
			text = description.DOT
		default:
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		}
		_, err := io.WriteString(w, text())
		return err
	})
}

// readOnly returns a handler for GET and HEAD.
func (a *App) readOnly(answer func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "the state can only be read", http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if err := answer(w, r); err != nil {
			a.cfg.Logger.Debug("state not sent", slog.Any("error", err)) // the client is gone
		}
	})
}

func wants(r *http.Request, format, contentType string) bool {
	if asked := r.URL.Query().Get("format"); asked != "" {
		return asked == format
	}
	return strings.Contains(r.Header.Get("Accept"), contentType)
}

func writeJSON(w http.ResponseWriter, answer any) error {
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(answer)
}

// WriteTable writes the description as a table for people.
func (i AppInfo) WriteTable(w io.Writer) error {
	t := &textTable{tabs: tabwriter.NewWriter(w, 0, 8, 2, ' ', 0), at: i.At}
	t.line("application %s\t%s for %s\tthis instance is %s", i.Name, i.State, t.ago(i.Since), i.Address)
	for _, g := range i.Groups {
		t.group(g)
	}
	t.globals(i.Globals)
	if t.err != nil {
		return t.err
	}
	return t.tabs.Flush()
}

// textTable writes lines until one fails.
type textTable struct {
	tabs *tabwriter.Writer
	at   time.Time
	err  error
}

func (t *textTable) line(format string, args ...any) {
	if t.err == nil {
		_, t.err = fmt.Fprintf(t.tabs, format+"\n", args...)
	}
}

// section begins columns of their own.
func (t *textTable) section() {
	if t.err == nil {
		t.err = t.tabs.Flush()
	}
}

func (t *textTable) ago(since time.Time) string {
	if since.IsZero() {
		return "-"
	}
	d := t.at.Sub(since)
	if d < time.Minute {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

func (t *textTable) group(g GroupInfo) {
	t.section()
	t.line("")
	t.line("group %s\t%d partitions\t%s on disk", g.Group, g.Partitions, bytesText(g.DiskBytes))
	t.section()
	for _, address := range slices.Sorted(maps.Keys(g.Members)) {
		m := g.Members[address]
		copies, leaving := "", ""
		if len(m.Standby)+len(m.Warmup) > 0 {
			copies = fmt.Sprintf("\tstandby %v\twarm-up %v", m.Standby, m.Warmup)
		}
		if m.Leaving {
			leaving = "\tleaving"
		}
		t.line("  member %s\tpartitions %v%s%s", address, m.Active, copies, leaving)
	}
	t.section()
	if len(g.Standbys) > 0 {
		t.line("  COPY\tWARM-UP\tCAUGHT UP\tOFFSET\tLAG")
		for _, s := range g.Standbys {
			t.line("  %d\t%t\t%t\t%d\t%d", s.Partition, s.Warmup, s.CaughtUp, s.Offset, s.Lag)
		}
	}
	t.section()
	if len(g.Leftovers) > 0 {
		t.line("  state on disk for no present use: partitions %v", g.Leftovers)
	}
	if len(g.Tasks) == 0 {
		t.line("  no tasks on this instance")
		return
	}
	t.line("  TASK\tSTATE\tFOR\tDOES\tFOR\tPROCESSED\tCOMMITS\tLAST\tAVERAGE\tSLOWEST\tFAILURES\tDISK")
	for _, task := range g.Tasks {
		commit := CommitInfo{}
		if task.Commit != nil {
			commit = *task.Commit
		}
		t.line("  %d\t%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\t%d\t%s", task.Partition, task.State, t.ago(task.Since),
			task.Activity, t.ago(task.ActivitySince), task.Processed, task.Commits, t.ago(commit.Last),
			secondsText(commit.AverageSeconds), secondsText(commit.SlowestSeconds), task.Failures, bytesText(task.DiskBytes))
	}
	t.section()
	t.line("  TASK\tINPUT\tPOSITION\tEND\tLAG\tBEHIND\tRECORDS")
	for _, task := range g.Tasks {
		for _, in := range task.Inputs {
			t.line("  %d\t%s\t%d\t%d\t%d\t%s\t%d", task.Partition, in.Topic, in.Position, in.End, in.Lag, secondsText(in.LagSeconds), in.Records)
		}
	}
	t.section()
	t.stores(g.Tasks)
	t.section()
	for _, task := range g.Tasks {
		t.remarks(task)
	}
}

func (t *textTable) stores(tasks []TaskInfo) {
	if !slices.ContainsFunc(tasks, func(task TaskInfo) bool { return len(task.Stores) > 0 }) {
		return
	}
	t.line("  TASK\tSTORE\tCACHED\tROWS\tDIRTY\tHITS\tGETS\tPUTS\tDELETES\tRANGES\tEXPIRED")
	for _, task := range tasks {
		for _, s := range task.Stores {
			t.line("  %d\t%s\t%s\t%d\t%s\t%.1f%%\t%d\t%d\t%d\t%d\t%d", task.Partition, s.Store, bytesText(s.CachedBytes), s.CachedRows,
				bytesText(s.DirtyBytes), 100*s.HitRatio, s.Gets, s.Puts, s.Deletes, s.Ranges, s.Expired)
		}
	}
}

// remarks writes a sentence for each thing that an operator should notice.
func (t *textTable) remarks(task TaskInfo) {
	if r := task.Restore; r != nil && !r.Done {
		t.line("  task %d restores: %d records so far, at offset %d of %d", task.Partition, r.Records, r.Next, r.End)
	}
	if task.WaitsFor != "" {
		t.line("  task %d waits for %s", task.Partition, task.WaitsFor)
	}
	for _, h := range task.Held {
		t.line("  task %d %s", task.Partition, h.remark())
	}
	for _, d := range task.Drops {
		late := ""
		if d.MaxLateSeconds > 0 {
			late = fmt.Sprintf(", too late by up to %s, the latest by %s", secondsText(d.MaxLateSeconds), secondsText(d.LateSeconds))
		}
		t.line("  task %d dropped %d records: %s at %s%s", task.Partition, d.Records, d.Reason, d.Node, late)
	}
	if e := task.LastError; e != nil {
		t.line("  task %d failed %s ago (%s): %s", task.Partition, t.ago(e.At), e.Cause, e.Message)
	}
}

func secondsText(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(10 * time.Microsecond).String()
}

func bytesText(n int64) string {
	const unit = 1024
	size, suffix := float64(n), "B"
	for _, larger := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if size < unit {
			break
		}
		size, suffix = size/unit, larger
	}
	if suffix == "B" {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", size, suffix)
}
