// Command airport is New York in January 2013, event by event: the first program to read to see what millrace does.
//
//	make run              load January while serving http://127.0.0.1:8080, until Ctrl-C
//	make run ONCE=1       load it at full speed, print what the airport knows, exit
//
// One process holds the whole flow, in the order of these files:
//
//	data.go, commands.go   the CSV becomes commands
//	loader.go, client.go   which are posted over HTTP, many at a time, in the order in which things happened
//	flight.go              the edge decides on each by the rules of a flight; what is allowed becomes an event
//	topology.go            processors turn the events into tables
//	routes.go              which views hold and HTTP queries read
//	summary.go             and in the end they are asked what they know of January
//
// Two rules of the loader keep the order that matters:
//
//   - L1: no command is sent before the one InFlight places ahead of it and all before that one are done, so event time
//     advances together everywhere.
//   - L2: no command is sent before the last one of the same flight is done, so a flight never departs before it is
//     scheduled.
//
// Everything is kept in a directory, broker included; a run that is killed anywhere goes on where it ended.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, err := parseOptions(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = run(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "airport:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to stop
	}
}
