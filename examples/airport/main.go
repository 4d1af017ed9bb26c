// Command airport replays January 2013 at New York's airports, event by event. It shows all parts of millrace together.
//
//	make run              load January while serving http://127.0.0.1:8080, until Ctrl-C
//	make run ONCE=1       load it at full speed, print a summary, exit
//
// One process runs the whole flow. The files, in the order of the flow:
//
//	data.go, commands.go   turn the CSV into commands
//	loader.go, client.go   post the commands over HTTP in the order of time, many at once
//	flight.go              has the rules by which the edge accepts a command and emits an event
//	topology.go            turns the events into tables
//	routes.go              answers HTTP queries from views of the tables
//	summary.go             queries everything about January in the end
//
// Two rules of the loader keep the necessary order:
//
//   - L1: a command is sent after the command InFlight places before it, and all commands before that one, are done.
//     Therefore event time advances together in all partitions.
//   - L2: a command is sent after the last command of the same flight is done. Therefore a flight never departs before it is
//     scheduled.
//
// All data, the broker's included, is in one directory. A run that is killed anywhere continues there.
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
