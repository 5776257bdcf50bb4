package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"footbridge/cmd/footbridge/app"
)

type serveCmd struct{}

// Run starts the bridge and stays until it is told to stop.
func (serveCmd) Run(ctx context.Context, c *app.Config, s streams) error {
	a, err := app.New(ctx, *c, app.Options{Version: app.Version(version), Log: logger(c, s)})
	if err != nil {
		return err
	}
	fmt.Fprintf(s.err, "Footbridge %s at %s, listening on %s, data in %s.\n", version, c.PublicURL, c.Listen, c.DataDir)
	if c.Offline() {
		fmt.Fprintln(s.err, "This is a try-out on this machine: nothing is announced to the outside, and nothing is read from it.")
	}
	return errors.Join(a.Run(ctx), a.Close())
}

func logger(c *app.Config, s streams) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		level = slog.LevelInfo // kong's enum has checked it
	}
	return slog.New(slog.NewTextHandler(s.err, &slog.HandlerOptions{Level: level}))
}

type configCmd struct{}

// Run prints the effective configuration in the form of the file.
func (configCmd) Run(c *app.Config, s streams) error {
	_, err := fmt.Fprintln(s.out, strings.Join(c.Effective(), "\n"))
	return err
}

type versionCmd struct{}

// Run prints the version.
func (versionCmd) Run(s streams) error {
	_, err := fmt.Fprintln(s.out, "footbridge", version)
	return err
}
