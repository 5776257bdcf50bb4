// Command footbridge is the bridge: it serves, shows what it would do, and answers its operator.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
	kongyaml "github.com/alecthomas/kong-yaml"

	"footbridge/cmd/footbridge/app"
)

// Exit codes: 0 all well, 1 it failed, 2 it was asked wrongly (nothing was started).
const (
	exitFailed = 1
	exitUsage  = 2
)

// version is set by the release build.
var version = "0.1.0-dev"

type cli struct {
	app.Config `embed:""`

	ConfigFile kong.ConfigFlag `name:"config" short:"c" help:"Configuration file (YAML)." placeholder:"FILE"`

	Serve     serveCmd     `cmd:"" help:"Run the bridge."`
	Demo      demoCmd      `cmd:"" help:"Play a conversation between two small networks on this machine."`
	Translate TranslateCmd `cmd:"" help:"Convert documents from standard input, sending nothing."`
	Consent   ConsentCmd   `cmd:"" help:"Audit, show and export consent records; verify a receipt."`
	Queue     queueCmd     `cmd:"" help:"Look at the queue and its dead letters."`
	Moderate  moderateCmd  `cmd:"" help:"Block, limit or suspend accounts, domains and PDSes."`
	Migrate   migrateCmd   `cmd:"" help:"Bring the database to this release's schema; serve does the same at its start."`
	Backup    backupCmd    `cmd:"" help:"Write a backup of the database. The journal and the keys are not in it."`
	Restore   restoreCmd   `cmd:"" help:"Fill a new database from a backup. The next serve first replays the journal."`
	Doctor    doctorCmd    `cmd:"" help:"Check what the bridge needs and say what to do."`
	Show      configCmd    `cmd:"" name:"config" help:"Print the effective configuration, secrets hidden."`
	Version   versionCmd   `cmd:"" help:"Print the version."`
}

// streams are where commands read and write.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, s streams) int {
	c := &cli{}
	exited := false
	parser, err := kong.New(c, kong.Name("footbridge"),
		kong.Description("A consent-first bridge between the fediverse and the ATmosphere."),
		kong.DefaultEnvars("FOOTBRIDGE"), kong.Configuration(kongyaml.Loader, "/etc/footbridge/footbridge.yaml"),
		kong.Writers(s.out, s.err), kong.Exit(func(int) { exited = true }), kong.UsageOnError(), kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		fmt.Fprintln(s.err, "footbridge:", err)
		return exitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if exited { // --help has been shown
		return 0
	}
	if err != nil {
		fmt.Fprintln(s.err, "footbridge:", err)
		return exitUsage
	}
	return runCommand(ctx, c, parsed, s)
}

func runCommand(ctx context.Context, c *cli, parsed *kong.Context, s streams) int {
	if needsConfig(parsed.Command()) {
		if err := c.Validate(); err != nil {
			fmt.Fprintln(s.err, "footbridge:", err)
			return exitUsage
		}
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	err := parsed.Run(&c.Config, s)
	var usage usageError
	switch {
	case err == nil || errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return 0
	case errors.As(err, &usage):
		fmt.Fprintln(s.err, "footbridge:", err)
		return exitUsage
	default:
		fmt.Fprintln(s.err, "footbridge:", err)
		return exitFailed
	}
}

// needsConfig tells commands that work on the bridge's data from those that need nothing.
func needsConfig(command string) bool {
	return command != "version" && !isAdapter(command) && !strings.HasPrefix(command, "demo") && !strings.HasPrefix(command, "consent verify-receipt")
}

// usageError is an error of whoever called, not of the bridge.
type usageError struct{ error }
