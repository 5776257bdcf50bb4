// Command e2e runs Footbridge between real servers on loopback: the reference PLC directory, PDS and AppView, indigo's relay
// in strict mode, and two Fedify servers over HTTPS, in a network namespace of its own. What it checks is read from the
// peers. The last line is "N passed, N failed".
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Round is one configuration of the bridge.
type Round struct {
	Name string
	// Services puts state into PostgreSQL and lanes into Redis.
	Services bool
}

func main() {
	inside := flag.String("inside", "", "internal: run this round in the current namespace")
	only := flag.String("run", "", "run only checks whose name contains this (those they build on too)")
	round := flag.Int("round", 0, "1: defaults, 2: PostgreSQL and Redis; 0: both")
	screens := flag.String("screens", "", "run only the checks with the browser, and write pictures of the pages into this folder")
	with := flag.String("with", "", "internal: run a command with the packages unpacked in this cache")
	flag.Parse()
	_ = os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin") // an ordinary user lacks these; dnsmasq is there
	if *with != "" {
		fmt.Fprintln(os.Stderr, execWith(*with, flag.Args())) // it returns only if it could not
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *inside != "" {
		os.Exit(runInside(ctx, *inside, *only))
	}
	if *screens != "" {
		*round = 1
		if err := picturesInto(*screens); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(runAll(ctx, *round, *only))
}

// runAll installs, then runs each round in a namespace of its own and adds up.
func runAll(ctx context.Context, round int, only string) int {
	started := time.Now()
	in, err := install(ctx)
	if err != nil {
		fmt.Println("installing the peers:", err)
		fmt.Println("0 passed, 1 failed")
		return 1
	}
	fmt.Printf("the peers are installed (%s)\n", time.Since(started).Round(time.Second))
	passed, failed := 0, 0
	for n, name := range []string{"defaults", "services"} {
		if round != 0 && round != n+1 {
			continue
		}
		p, f := runRound(ctx, in, name, only)
		passed, failed = passed+p, failed+f
	}
	fmt.Printf("end to end in %s\n%d passed, %d failed\n", time.Since(started).Round(time.Second), passed, failed)
	if failed > 0 || passed == 0 {
		return 1
	}
	return 0
}

// runRound runs this program again inside a fresh namespace.
func runRound(ctx context.Context, in *installed, name, only string) (passed, failed int) {
	state := filepath.Join(in.cache, "state", name)
	if err := os.RemoveAll(state); err != nil {
		fmt.Println(err)
		return 0, 1
	}
	if err := os.MkdirAll(state, 0o755); err != nil {
		fmt.Println(err)
		return 0, 1
	}
	self, err := os.Executable()
	if err != nil {
		fmt.Println(err)
		return 0, 1
	}
	roundCtx, cancel := context.WithTimeout(ctx, 12*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(roundCtx, self, "-inside", name, "-run", only)
	apart(cmd, syscall.CLONE_NEWNET|syscall.CLONE_NEWNS)
	cmd.Env = append(os.Environ(), "E2E_CACHE="+in.cache, "E2E_STATE="+state, "E2E_REPO="+in.repo)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	var tail tailWriter
	cmd.Stdout, cmd.Stderr = &tail, os.Stderr
	err = cmd.Run()
	if _, scanErr := fmt.Sscanf(tail.last(), "%d passed, %d failed", &passed, &failed); scanErr != nil {
		fmt.Println("the round ended early:", err)
		return passed, failed + 1
	}
	return passed, failed
}

// tailWriter passes lines on but for the last, which is the round's result.
type tailWriter struct{ held string }

func (t *tailWriter) Write(b []byte) (int, error) {
	t.held += string(b)
	for {
		line, rest, found := strings.Cut(t.held, "\n")
		if !found || rest == "" && strings.Contains(line, " passed, ") {
			return len(b), nil
		}
		fmt.Println(line)
		t.held = rest
	}
}

func (t *tailWriter) last() string { return strings.TrimSpace(t.held) }
