package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"

	"footbridge/cmd/footbridge/app"
)

type doctorCmd struct{}

// Run prints every finding and fails if one is not well.
func (doctorCmd) Run(ctx context.Context, c *app.Config, s streams) error {
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	sick := 0
	for _, f := range app.Doctor(ctx, *c) {
		mark := "ok"
		if !f.OK {
			mark = "FIX"
			sick++
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", mark, f.Name, f.Say)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if sick > 0 {
		return errors.New(plural(sick, "thing needs", "things need") + " the operator")
	}
	return nil
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
