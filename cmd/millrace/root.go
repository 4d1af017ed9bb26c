package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/security"
)

// The exit codes.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// usageError is a mistake in the command line. run prints the usage after it.
type usageError struct {
	command *cobra.Command
	err     error
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// options are the flags that commands share.
type options struct {
	brokers  []string
	security security.Config
	output   string
	timeout  time.Duration
	logLevel string

	logger *slog.Logger
	stderr io.Writer
}

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot(stderr)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)

	var usage *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "millrace: %v\n\n%s", err, usage.command.UsageString())
		return exitUsage
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "millrace: interrupted")
		return exitInterrupted
	default:
		fmt.Fprintf(stderr, "millrace: %v\n", err)
		return exitFailure
	}
}

// newRoot returns the command tree.
func newRoot(stderr io.Writer) *cobra.Command {
	opts := &options{stderr: stderr}
	root := &cobra.Command{
		Use:           "millrace",
		Short:         "Run a development broker; inspect applications on a cluster",
		Args:          noArguments,
		SilenceErrors: true, // run prints them
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return opts.prepare(cmd)
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return &usageError{cmd, err} })
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SuggestionsMinimumDistance = 2
	root.PersistentFlags().StringVar(&opts.logLevel, "log-level", "", "least severe log messages to show: debug, info, warn or error (default warn for dev, else error)")
	root.AddCommand(newDev(opts), newTopics(opts), newDescribe(opts), newTimes(opts), newVersion(opts))
	return root
}

// clusterFlags adds the flags of commands that connect to a cluster.
func (o *options) clusterFlags(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&o.brokers, "brokers", []string{"127.0.0.1:9092"}, "addresses of brokers, as host:port; one that answers is enough")
	o.securityFlags(cmd)
	cmd.Flags().DurationVar(&o.timeout, "timeout", 30*time.Second, "how long the whole command may take")
	o.outputFlag(cmd)
}

// outputFlag adds -o.
func (o *options) outputFlag(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&o.output, "output", "o", "table", "output format: table or json")
}

// prepare checks the shared flags and creates the logger.
func (o *options) prepare(cmd *cobra.Command) error {
	if o.logLevel == "" {
		o.logLevel = "error" // commands report their own failures
		if cmd.Name() == "dev" {
			o.logLevel = "warn"
		}
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.logLevel)); err != nil {
		return &usageError{cmd, fmt.Errorf("--log-level is %q; give debug, info, warn or error", o.logLevel)}
	}
	if o.output != "" && !slices.Contains([]string{"table", "json"}, o.output) {
		return &usageError{cmd, fmt.Errorf("--output is %q; give table or json", o.output)}
	}
	if cmd.Flags().Lookup("timeout") != nil && o.timeout <= 0 {
		return &usageError{cmd, fmt.Errorf("--timeout is %s; give a positive duration, such as 30s", o.timeout)}
	}
	if err := o.checkSecurity(cmd); err != nil {
		return err
	}
	o.logger = slog.New(slog.NewTextHandler(o.stderr, &slog.HandlerOptions{Level: level}))
	return nil
}

// ask connects to the cluster at --brokers and calls fn. --timeout bounds both together.
func (o *options) ask(ctx context.Context, fn func(context.Context, *broker.Client) error) error {
	bounded, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	err := o.connected(bounded, fn)
	if err != nil && ctx.Err() == nil && bounded.Err() != nil {
		return fmt.Errorf("%s did not answer within %s: %w; is the address right? --timeout gives it longer", strings.Join(o.brokers, ", "), o.timeout, err)
	}
	return err
}

func (o *options) connected(ctx context.Context, fn func(context.Context, *broker.Client) error) error {
	client, err := broker.Connect(ctx, broker.Config{Brokers: o.brokers, Security: o.security, ClientID: "millrace-cli", Logger: o.logger})
	if err != nil {
		return err
	}
	defer client.Close()
	return fn(ctx, client)
}

// noArguments rejects arguments. At the root, an argument is a misspelt command.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.HasParent() {
		return &usageError{cmd, fmt.Errorf("%s takes no arguments, but was given %q", cmd.CommandPath(), args)}
	}
	err := fmt.Errorf("there is no command %q", args[0])
	if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
		err = fmt.Errorf("%w; did you mean %s?", err, strings.Join(similar, " or "))
	}
	return &usageError{cmd, err}
}
