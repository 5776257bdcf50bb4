package main

import (
	"context"
	"errors"
	"fmt"

	"footbridge/bridge/bridgetest"
)

type demoCmd struct {
	Once bool `help:"Exit after the last line: 0 only if every step held."`
}

// Run plays the story between two small networks in this process, then keeps the pages up.
func (d demoCmd) Run(ctx context.Context, s streams) error {
	fmt.Fprintln(s.out, "Footbridge demo: a fediverse server, an ATmosphere and a bridge, all in this process.")
	story := bridgetest.NewStory(s.out)
	world, err := bridgetest.New(ctx, bridgetest.Options{Observe: story.Observe})
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
