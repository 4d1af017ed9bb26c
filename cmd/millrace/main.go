// Command millrace is the operator's tool: it runs the embedded broker and
// shows what an application has on a cluster.
//
//	millrace dev                 a broker in the foreground, for development
//	millrace topics              the topics of a cluster
//	millrace describe airport    groups, lag, members and topics of an application
//	millrace version
//
// Results go to standard output and everything else to standard error, so that
// output can be piped. With -o json the output is one JSON document, whose
// fields are only ever added to.
//
// It exits with 0 if all went well, 1 if something failed, 2 if it was called
// in a way that makes no sense, and 130 if it was interrupted.
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

// interruptible runs the command until it ends or the process is asked to; a
// second signal kills it.
func interruptible(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return run(ctx, args, os.Stdout, os.Stderr)
}
