package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Where the peers listen inside the namespace.
const (
	plcURL     = "http://localhost:2582"
	pdsURL     = "http://localhost:2583"
	appViewURL = "http://localhost:2584"
	relayURL   = "http://localhost:2470"
	bridgeURL  = "https://bridge.test"
	fediA      = "https://fedi-a.test"
	fediB      = "https://fedi-b.test"
	pdsB       = "https://pdsb.test" // OAuth wants https and no port
)

// world is one round's peers and the bridge between them.
type world struct {
	in       *installed
	state    string
	services bool
	// servicesDir holds the data of PostgreSQL and Redis.
	servicesDir string
	env         map[string]string // FOOTBRIDGE_TEST_* of scripts/services.sh
	started     []*process
	bridge      *process
	http        *http.Client
	masto       *masto
}

// process is something that was started here, and will be stopped by its own id.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// start runs a program in the background, its output in a log of its own.
func (w *world) start(name string, env []string, dir, program string, args ...string) (*process, error) {
	p := &process{name: name, log: filepath.Join(w.state, name+".log"), done: make(chan struct{})}
	f, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	p.cmd = exec.Command(program, args...)
	p.cmd.Dir, p.cmd.Env = dir, append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = f, f
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("starting %s: %w", name, err), f.Close())
	}
	go func() {
		_ = p.cmd.Wait() // how it ended shows in the log
		_ = f.Close()
		close(p.done)
	}()
	return p, nil
}

// peer is start for what lives as long as the round, and waits until ready holds.
func (w *world) peer(ctx context.Context, ready func(context.Context) error, name string, env []string, dir, program string, args ...string) error {
	p, err := w.start(name, env, dir, program, args...)
	if err != nil {
		return err
	}
	w.started = append(w.started, p)
	return w.await(ctx, p, ready)
}

func (w *world) await(ctx context.Context, p *process, ready func(context.Context) error) error {
	err := eventually(ctx, 90*time.Second, func(ctx context.Context) error {
		select {
		case <-p.done:
			return errors.New("it ended")
		default:
			return ready(ctx)
		}
	})
	if err != nil {
		return fmt.Errorf("%s does not come up: %w\n%s", p.name, err, tail(p.log, 25))
	}
	return nil
}

func tail(path string, n int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return lastLines(string(text), n)
}

// close stops everything, the youngest first.
func (w *world) close() {
	if w.bridge != nil {
		w.bridge.stop()
	}
	for i := len(w.started) - 1; i >= 0; i-- {
		w.started[i].stop()
	}
	_ = exec.Command(filepath.Join(w.in.repo, "scripts", "services.sh"), "stop", w.servicesDir).Run() // best effort at the end
	_ = os.RemoveAll(w.servicesDir)
}

// up starts the peers in the order in which they need each other, then the bridge.
func (w *world) up(ctx context.Context) error {
	for _, step := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"names", w.startNames}, {"TLS", w.startTLS}, {"PostgreSQL and Redis", w.startServices}, {"PLC, PDS and AppView", w.startATProto},
		{"relay", w.startRelay}, {"Fedify", w.startFedify}, {"masto.test", w.startMasto}, {"the bridge", w.startBridge},
	} {
		began := time.Now()
		if err := step.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		fmt.Printf("      started %s (%s)\n", step.name, time.Since(began).Round(100*time.Millisecond))
	}
	return nil
}

func (w *world) startNames(ctx context.Context) error {
	ready := func(ctx context.Context) error {
		return exec.CommandContext(ctx, "getent", "hosts", "any.name.test").Run()
	}
	return w.peer(ctx, ready, "dnsmasq", nil, w.state, "dnsmasq", "--no-resolv", "--no-hosts", "--listen-address=127.0.0.1", "--bind-interfaces",
		"--port=53", "--address=/test/127.0.0.1", "--address=/localhost/127.0.0.1", "--no-daemon", "--pid-file="+filepath.Join(w.state, "dnsmasq.pid"))
}

func (w *world) ca() string { return filepath.Join(w.state, "ca", "ca.pem") }

// tap is the file in which the TLS front writes down all that passes.
func (w *world) tap() string { return filepath.Join(w.state, "tap.jsonl") }

func (w *world) startTLS(ctx context.Context) error {
	ready := func(context.Context) error {
		var err error
		w.http, err = trusting(w.ca())
		return err
	}
	return w.peer(ctx, ready, "tlsfront", nil, w.state, w.in.bin("tlsfront"), "-dir", filepath.Join(w.state, "ca"), "-listen", "127.0.0.1:443", "-tap", w.tap(),
		"bridge.test=127.0.0.1:9000", ".bridge.test=127.0.0.1:9000", "fedi-a.test=127.0.0.1:8082", "fedi-b.test=127.0.0.1:8083",
		".pdsa.test=127.0.0.1:2583", "pdsb.test=127.0.0.1:2593", ".pdsb.test=127.0.0.1:2593", "masto.test=127.0.0.1:8084")
}

// startServices starts a PostgreSQL and a Redis: the AppView needs them in every round.
func (w *world) startServices(ctx context.Context) error {
	// PostgreSQL runs as a user of its own, who cannot look into root's home.
	dir, err := os.MkdirTemp("", "footbridge-e2e-")
	if err != nil {
		return err
	}
	w.servicesDir = dir
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	script := filepath.Join(w.in.repo, "scripts", "services.sh")
	if out, err := exec.CommandContext(ctx, script, "start", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, lastLines(string(out), 20))
	}
	out, err := exec.CommandContext(ctx, script, "env", dir).Output()
	if err != nil {
		return err
	}
	w.env = map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		w.env[name] = strings.Trim(value, `'"`)
	}
	if w.env["FOOTBRIDGE_TEST_POSTGRES"] == "" || w.env["FOOTBRIDGE_TEST_REDIS"] == "" {
		return fmt.Errorf("services.sh says %q", out)
	}
	return nil
}

func (w *world) startATProto(ctx context.Context) error {
	env := []string{
		"STRICT=1", "REAL_HANDLES=1", "PDS_PORTS=2583,2593", "PDS_HOSTS=,pdsb.test", "ONLY_FIREHOSES=ws://localhost:2470", "CRAWLERS=" + relayURL, "LOG_ENABLED=false",
		"DB_POSTGRES_URL=" + w.env["FOOTBRIDGE_TEST_POSTGRES"], "REDIS_HOST=" + w.env["FOOTBRIDGE_TEST_REDIS"], "NODE_EXTRA_CA_CERTS=" + w.ca(), "NODE_ENV=development",
	}
	ready := func(ctx context.Context) error { return w.ok(ctx, "http://localhost:2580/") }
	return w.peer(ctx, ready, "atproto", env, filepath.Join(w.in.cache, "atproto"), filepath.Join(w.in.node(), "bin", "node"), "--import", "./names.mjs", "network.mjs")
}

// startRelay starts the strict relay between the PDSes and the AppView, before anybody writes: it reads new hosts live.
func (w *world) startRelay(ctx context.Context) error {
	ready := func(ctx context.Context) error { return w.ok(ctx, relayURL+"/xrpc/_health") }
	return w.peer(ctx, ready, "relay", []string{"SSL_CERT_FILE=" + w.ca()}, w.state, w.in.bin("minirelay"), "-listen", "127.0.0.1:2470", "-plc", plcURL,
		"-dir", w.state, "-skip-host-check", "-alias", "bridge.test=localhost:9000", "localhost:2583")
}

func (w *world) startFedify(ctx context.Context) error {
	for _, f := range []struct{ name, origin, port, actors, knock string }{
		{"fedi-a", fediA, "8082", "fred,nora,stan", "rfc9421"}, {"fedi-b", fediB, "8083", "frida,gus", "draft-cavage-http-signatures-12"},
	} {
		env := []string{"ORIGIN=" + f.origin, "PORT=" + f.port, "ACTORS=" + f.actors, "FIRST_KNOCK=" + f.knock, "NODE_EXTRA_CA_CERTS=" + w.ca()}
		ready := func(ctx context.Context) error { return w.ok(ctx, f.origin+"/_/log") }
		if err := w.peer(ctx, ready, f.name, env, filepath.Join(w.in.cache, "fedify"), filepath.Join(w.in.node(), "bin", "node"), "peer.mjs"); err != nil {
			return err
		}
	}
	return nil
}

// startBridge starts the bridge as an operator would: by environment.
func (w *world) startBridge(ctx context.Context) (err error) {
	env := []string{
		"FOOTBRIDGE_PUBLIC_URL=" + bridgeURL, "FOOTBRIDGE_LISTEN=127.0.0.1:9000", "FOOTBRIDGE_DATA_DIR=" + filepath.Join(w.state, "data"),
		"FOOTBRIDGE_PLC_URL=" + plcURL, "FOOTBRIDGE_RELAYS=" + relayURL, "FOOTBRIDGE_APPVIEW_URL=" + appViewURL, "FOOTBRIDGE_HANDLE_ZONE=ap.bridge.test",
		"FOOTBRIDGE_DEV_ALLOW=*.test,localhost,127.0.0.1", "FOOTBRIDGE_DEV_CA=" + w.ca(), "FOOTBRIDGE_LOG_LEVEL=debug", "FOOTBRIDGE_OPERATOR=the end-to-end checks",
	}
	if w.services {
		env = append(env, "FOOTBRIDGE_DATABASE_URL="+w.env["FOOTBRIDGE_TEST_POSTGRES"], "FOOTBRIDGE_REDIS_URL=redis://"+w.env["FOOTBRIDGE_TEST_REDIS"]+"/1")
	}
	if w.bridge, err = w.start("bridge", env, w.state, w.in.bin("footbridge"), "serve"); err != nil {
		return err
	}
	return w.await(ctx, w.bridge, func(ctx context.Context) error { return w.ok(ctx, bridgeURL+"/readyz") })
}

// killBridge ends the bridge without a warning.
func (w *world) killBridge() {
	_ = w.bridge.cmd.Process.Kill() // SIGKILL cannot be refused
	<-w.bridge.done
}
