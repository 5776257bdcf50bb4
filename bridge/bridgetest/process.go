package bridgetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/bluesky-social/indigo/atproto/syntax"

	"footbridge/cmd/footbridge/app"
)

// processEnv holds the plan of a bridge that runs in a process of its own, so that it can be killed.
const processEnv = "FOOTBRIDGE_BRIDGETEST_PROCESS"

// plan is what such a process is told.
type plan struct {
	Config app.Config
	// Handles says which base URL serves the handles that end in a suffix.
	Handles map[string]string
}

// InProcess reports whether this process was started to be a bridge; main and TestMain then call RunProcess and nothing else.
func InProcess() bool { return os.Getenv(processEnv) != "" }

// RunProcess is a bridge until it is interrupted or killed.
func RunProcess() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var p plan
	if err := json.Unmarshal([]byte(os.Getenv(processEnv)), &p); err != nil {
		return fmt.Errorf("reading the plan of a bridge: %w", err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", p.Config.Listen)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	a, err := app.New(ctx, p.Config, app.Options{Version: "test", Log: log, HandleURL: p.handle, LookupTXT: noTXT})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	return errors.Join(a.RunOn(ctx, listener), a.Close())
}

func (p plan) handle(h syntax.Handle) string {
	best, base := 0, ""
	for suffix, b := range p.Handles {
		if strings.HasSuffix("."+string(h), "."+suffix) && len(suffix) > best {
			best, base = len(suffix), b
		}
	}
	return base
}

func noTXT(context.Context, string) ([]string, error) { return nil, &net.DNSError{IsNotFound: true} }

// Process is a bridge in a process of its own.
type Process struct {
	cmd  *exec.Cmd
	done chan error
}

// Spawn starts one more process on the data of this world; what differs from its own configuration is set by change.
func (w *World) Spawn(ctx context.Context, out io.Writer, change func(*app.Config)) (*Process, error) {
	p := plan{Config: w.config, Handles: map[string]string{Zone: w.URL}}
	for i, pds := range w.AT.PDSes {
		suffix := "pds.test"
		if i > 0 {
			suffix = fmt.Sprintf("pds%d.test", i)
		}
		p.Handles[suffix] = pds.URL()
	}
	if change != nil {
		change(&p.Config)
	}
	raw, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("writing the plan of a bridge: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), self) //nolint:gosec // this very program
	cmd.Env = append(os.Environ(), processEnv+"="+string(raw))
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting a bridge: %w", err)
	}
	proc := &Process{cmd: cmd, done: make(chan error, 1)}
	go func() { proc.done <- cmd.Wait() }()
	return proc, nil
}

// Kill ends it as a power cut would, as far as the process is concerned.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.done
	p.done <- nil
}

// Stop asks it to end and waits.
func (p *Process) Stop() error {
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	err := <-p.done
	p.done <- nil
	return err
}

// Ended tells whether it ended by itself within a time.
func (p *Process) Ended(within time.Duration) (bool, error) {
	select {
	case err := <-p.done:
		p.done <- nil
		return true, err
	case <-time.After(within):
		return false, nil
	}
}

// Signal sends it a signal, such as SIGSTOP.
func (p *Process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Ready waits until the bridge answers.
func (w *World) Ready(ctx context.Context) error {
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	return Eventually(ctx, "the bridge ready", func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.URL+"/readyz", nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		_ = resp.Body.Close() // only the status matters
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("status %d", resp.StatusCode)
		}
		return nil
	})
}
