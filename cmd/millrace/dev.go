package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed84377926/millrace/embedded"
)

const devBanner = `
  millrace dev: a broker for development. NOT FOR PRODUCTION.
  One process, one copy of the data, no access control, loopback only.
  %s. Ctrl-C stops it.

`

func newDev(opts *options) *cobra.Command {
	var config embedded.Config
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a broker for development in the foreground",
		Long: `Run the embedded broker in the foreground until it is interrupted.

The broker speaks the Kafka protocol to any client on this machine. With --data
it keeps its data: it can be stopped, or even killed, and started again. It is
one process without replication, meant for development and tests. When it is
ready, it prints its address on standard output.`,
		Example: `  millrace dev
  millrace dev --data /var/tmp/airport --port 0`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if config.Port < 0 || config.Port > 65535 {
				return &usageError{cmd, fmt.Errorf("--port is %d; give one from 1 to 65535, or 0 for any free one", config.Port)}
			}
			config.Logger = opts.logger
			return serve(cmd.Context(), config, cmd.OutOrStdout(), opts.stderr)
		},
	}
	cmd.Flags().StringVar(&config.Dir, "data", "", "folder for the data, created if it is missing; without it, the data is only in memory")
	cmd.Flags().IntVar(&config.Port, "port", 9092, "port on the loopback interface; 0 means any free port")
	cmd.Flags().BoolVar(&config.NoSync, "no-sync", false, "do not wait for the disk: faster, but the last seconds are lost if the machine crashes")
	return cmd
}

// serve runs the broker until ctx ends and then returns nil.
func serve(ctx context.Context, config embedded.Config, stdout, stderr io.Writer) error {
	data := "The data is in memory and gone at the end; --data keeps it"
	if config.Dir != "" {
		data = "The data is kept in " + config.Dir
	}
	fmt.Fprintf(stderr, devBanner, data)
	b, err := embedded.Start(ctx, config)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(stdout, strings.Join(b.Addrs(), ",")); err != nil {
		return errors.Join(fmt.Errorf("print the address: %w", err), b.Close())
	}
	<-ctx.Done()
	if err := b.Close(); err != nil {
		return fmt.Errorf("stop the broker: %w", err)
	}
	fmt.Fprintln(stderr, "stopped")
	return nil
}
