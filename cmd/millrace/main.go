// Command millrace is a tool for operators: it runs the embedded broker and shows the groups and topics of
// applications.
//
//	millrace dev                 run a broker in the foreground, for development
//	millrace topics              list the topics of a cluster
//	millrace describe airport    show the groups, lag, members and topics of an application
//	millrace version             print the version of the tool
//
// Results go to standard output and everything else goes to standard error, so that the output can be piped. With -o
// json the output is one JSON document; later versions may add fields to it and remove none.
//
// The exit code is 0 for success, 1 for a failure, 2 for a usage error, and 130 for an interruption.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	os.Exit(interruptible(os.Args[1:]))
}

// interruptible runs the command until it ends or the process gets a signal. A second signal kills the process.
func interruptible(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return run(ctx, args, os.Stdout, os.Stderr)
}
