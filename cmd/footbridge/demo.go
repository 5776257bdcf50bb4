package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"footbridge/bridge/bridgetest"
)

type demoCmd struct {
	Once    bool `help:"Exit after the last line: 0 only if every step held."`
	Verbose bool `help:"Show the bridge's own log as well."`
}

// Run plays the story between two small networks in this process, then keeps the pages up.
func (d demoCmd) Run(ctx context.Context, s streams) error {
	fmt.Fprintln(s.out, "Footbridge demo: a fediverse server, an ATmosphere and a bridge, all in this process.")
	story := bridgetest.NewStory(s.out)
	options := bridgetest.Options{Observe: story.Observe}
	if d.Verbose {
		options.Log = slog.New(slog.NewTextHandler(s.err, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	world, err := bridgetest.New(ctx, options)
	if err != nil {
		return err
	}
	if err := story.Tell(ctx, world); err != nil {
		return errors.Join(err, world.Close())
	}
	fmt.Fprintln(s.out, "\nEvery step held.")
	if d.Once {
		return world.Close()
	}
	fmt.Fprintf(s.out, "\nThe bridge stays up until you press Ctrl-C. Its pages:\n  %s/\n  %s/join/at\n  %s/metrics\n", world.URL, world.URL, world.URL)
	<-ctx.Done()
	return world.Close()
}
