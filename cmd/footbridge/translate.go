package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"footbridge/bridge/translate"
)

// TranslateCmd converts documents from standard input to standard output with the functions that the running bridge uses.
// It needs no configuration, looks nothing up and sends nothing.
type TranslateCmd struct {
	Direction string `arg:"" optional:"" enum:"ap-to-at,at-to-ap," default:"" help:"ap-to-at or at-to-ap; with --stream each line may say its own."`
	Stream    bool   `help:"Read one case per line and write one result per line."`
}

// maxCase bounds one case: no document that is bridged comes near it.
const maxCase = 16 << 20

// Help describes the form of a case.
func (TranslateCmd) Help() string {
	return `A case is {"name","direction","input","context"}: the input is an AS2 activity, or an event of an AT repo, and the
context what a resolver would have found. The result is {"writes":[...],"reports":[...],"dms":[...]} or
{"activities":[...]}, with "dropped" if nothing is bridged and "losses" for what could not be carried.`
}

// Run converts one case, or a stream of them.
func (t *TranslateCmd) Run(s streams) error {
	if t.Stream {
		return t.stream(s)
	}
	if t.Direction == "" {
		return usageError{errors.New("say a direction, ap-to-at or at-to-ap, or --stream")}
	}
	raw, err := io.ReadAll(io.LimitReader(s.in, maxCase+1))
	if err != nil {
		return fmt.Errorf("reading the case: %w", err)
	}
	if len(raw) > maxCase {
		return fmt.Errorf("the case is longer than %d bytes", maxCase)
	}
	_, err = fmt.Fprintf(s.out, "%s\n", translate.RunCase(raw, t.Direction))
	return err
}

// stream answers each line with a line; a line that cannot be read is answered with an error.
func (t *TranslateCmd) stream(s streams) error {
	in := bufio.NewScanner(s.in)
	in.Buffer(make([]byte, 0, 64<<10), maxCase)
	out := bufio.NewWriter(s.out)
	for in.Scan() {
		if strings.TrimSpace(in.Text()) == "" {
			continue
		}
		if _, err := fmt.Fprintf(out, "%s\n", translate.RunCase(in.Bytes(), t.Direction)); err != nil {
			return fmt.Errorf("writing a result: %w", err)
		}
	}
	if err := in.Err(); err != nil {
		return fmt.Errorf("reading cases: %w", err)
	}
	return out.Flush()
}

// isAdapter tells the commands that work without any configuration.
func isAdapter(command string) bool { return strings.HasPrefix(command, "translate") }
