package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version identifies this binary.
type version struct {
	Module   string `json:"module"`
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Time     string `json:"time,omitempty"` // of the commit, RFC 3339
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func newVersion(opts *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of this binary",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			info, _ := debug.ReadBuildInfo() // nil only in a binary built without module support
			return opts.print(cmd.OutOrStdout(), describeBuild(info))
		},
	}
	opts.outputFlag(cmd)
	return cmd
}

// describeBuild returns the version in the build information, which may be nil.
func describeBuild(info *debug.BuildInfo) version {
	v := version{Version: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info == nil {
		return v
	}
	v.Module = info.Main.Path
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			v.Revision = setting.Value
		case "vcs.time":
			v.Time = setting.Value
		case "vcs.modified":
			v.Modified = setting.Value == "true"
		}
	}
	return v
}

// writeTable prints v as text.
func (v version) writeTable(w io.Writer) error {
	_, err := fmt.Fprintf(w, "millrace %s (%s, %s)\n", v.Version, v.Go, v.Platform)
	if err == nil && v.Revision != "" {
		changed := ""
		if v.Modified {
			changed = ", with local changes"
		}
		_, err = fmt.Fprintf(w, "commit %s of %s%s\n", v.Revision, v.Time, changed)
	}
	return err
}
