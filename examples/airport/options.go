package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

const (
	defaultData   = "airport-data"
	defaultListen = "127.0.0.1:8080"
	january       = 31 // days
)

// options are the flags of the command line.
type options struct {
	data      string   // directory of all data
	brokers   []string // empty: start the embedded broker
	once      bool     // load, print the summary, exit
	listen    string
	summary   string // file for the summary as JSON; empty for none
	logLevel  slog.Level
	limitDays int // load only the first days of January
}

func parseOptions(args []string, out io.Writer) (options, error) {
	var o options
	var brokers string
	flags := flag.NewFlagSet("airport", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&o.data, "data", "", "`directory` to keep everything in (default "+defaultData+", with --once a temporary one)")
	flags.StringVar(&brokers, "brokers", "", "Kafka brokers, `host:port,…` (default: a broker inside this process)")
	flags.BoolVar(&o.once, "once", false, "load January into a fresh directory, print the summary and exit")
	flags.StringVar(&o.listen, "listen", "", "`address` to serve HTTP on (default "+defaultListen+", with --once a free port)")
	flags.StringVar(&o.summary, "summary", "", "`file` to write the summary to, as JSON")
	flags.TextVar(&o.logLevel, "log-level", slog.LevelWarn, "debug, info, warn or error")
	flags.IntVar(&o.limitDays, "limit-days", january, "load only the first `n` days of January")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q; see airport --help", flags.Arg(0))
	}
	if o.limitDays < 1 || o.limitDays > january {
		return o, fmt.Errorf("--limit-days is %d; give 1 to %d", o.limitDays, january)
	}
	for address := range strings.SplitSeq(brokers, ",") {
		if address = strings.TrimSpace(address); address != "" {
			o.brokers = append(o.brokers, address)
		}
	}
	if o.listen == "" && o.once {
		o.listen = "127.0.0.1:0"
	}
	if o.listen == "" {
		o.listen = defaultListen
	}
	if o.data == "" && !o.once {
		o.data = defaultData
	}
	return o, nil
}

// openData creates the data directory. The function remove deletes a temporary directory and keeps any other.
func (o options) openData() (dir string, remove func() error, err error) {
	if o.data == "" {
		dir, err = os.MkdirTemp("", "airport-")
		if err != nil {
			return "", nil, fmt.Errorf("make a temporary data directory: %w; name one with --data", err)
		}
		return dir, func() error { return os.RemoveAll(dir) }, nil
	}
	if err := os.MkdirAll(o.data, 0o755); err != nil {
		return "", nil, fmt.Errorf("make data directory: %w; name another with --data", err)
	}
	// Find out now whether it is writable, not in the middle of the work.
	probe, err := os.CreateTemp(o.data, ".probe-")
	if err != nil {
		return "", nil, fmt.Errorf("data directory %s cannot be written to: %w; change its permissions or name another with --data", o.data, err)
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		return "", nil, fmt.Errorf("data directory %s: %w", o.data, err)
	}
	entries, err := os.ReadDir(o.data)
	if err != nil {
		return "", nil, fmt.Errorf("data directory: %w", err)
	}
	if o.once && len(entries) > 0 {
		return "", nil, fmt.Errorf("data directory %s is not empty, and --once loads into a fresh one; empty it, name another, or leave --data out for a temporary one", o.data)
	}
	dir, err = filepath.Abs(o.data)
	if err != nil {
		return "", nil, fmt.Errorf("data directory: %w", err)
	}
	return dir, func() error { return nil }, nil
}
