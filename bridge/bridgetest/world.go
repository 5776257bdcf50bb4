// Package bridgetest runs the whole bridge, as footbridge serve runs it, between a fake fediverse and a fake ATmosphere on
// loopback: for scenario tests, for fault injection and for the demo. Only tests and the demo import it.
package bridgetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"footbridge/activitypub/activitypubtest"
	"footbridge/atproto/atprototest"
	"footbridge/bridge"
	"footbridge/cmd/footbridge/app"
)

// Options of a World; the zero value is the embedded default in a temporary folder.
type Options struct {
	// Dir holds the bridge's data; a temporary folder, removed by Close, if empty.
	Dir string
	// DatabaseURL and RedisURL select the engines.
	DatabaseURL, RedisURL string
	// Dialect of the fediverse server.
	Dialect activitypubtest.Dialect
	Log     *slog.Logger
	Observe func(bridge.Outcome)
	// Configure changes the bridge's configuration before it starts.
	Configure func(*app.Config)
	// Apart starts the bridge in a process of its own, which KillBridge can kill. The program that does so must call
	// RunProcess when InProcess says so.
	Apart bool
	// Output of such a process; none if nil.
	Output io.Writer
	// AccountLimit is how many accounts of one host the relay shows; plenty if 0.
	AccountLimit int
	// Now is the clock of everybody; time.Now if nil.
	Now func() time.Time
	// Chat gives the bridge's bot the chat service of the ATmosphere.
	Chat bool
}

// World is a bridge and its two networks.
type World struct {
	Fedi *activitypubtest.Server
	AT   *atprototest.Network
	// URL is the bridge's public address.
	URL string

	o        Options
	temp     bool
	config   app.Config
	app      *app.App
	stop     context.CancelFunc
	finished chan error
	process  *Process
}

// New starts everything.
func New(ctx context.Context, o Options) (w *World, err error) {
	w = &World{o: o}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Close())
		}
	}()
	if o.Dir == "" {
		w.temp = true
		if w.o.Dir, err = os.MkdirTemp("", "footbridge-world-"); err != nil {
			return w, err
		}
	}
	w.Fedi = activitypubtest.New(activitypubtest.Options{Dialect: o.Dialect, Now: o.Now})
	if err := w.Fedi.Start(); err != nil {
		return w, fmt.Errorf("starting the fediverse server: %w", err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return w, err
	}
	port := listener.Addr().(*net.TCPAddr).Port
	w.URL = fmt.Sprintf("http://localhost:%d", port)
	if w.AT, err = atprototest.Start(atprototest.Options{HandleHosts: map[string]string{Zone: w.URL}, AccountLimit: o.AccountLimit,
		Now: o.Now}); err != nil {
		return w, errors.Join(fmt.Errorf("starting the ATmosphere: %w", err), listener.Close())
	}
	w.configure(port)
	return w, w.startOn(ctx, listener)
}

// Zone is the handle zone of the bridge in a World.
const Zone = "ap.bridge.test"

func (w *World) configure(port int) {
	w.config = app.Config{
		PublicURL: w.URL, Listen: fmt.Sprintf("127.0.0.1:%d", port), DataDir: filepath.Join(w.o.Dir, "data"), HandleZone: Zone,
		PLCURL: w.AT.PLC.URL(), Relays: []string{w.AT.Relay.URL()}, AppView: w.AT.AppView.URL(), DatabaseURL: w.o.DatabaseURL, RedisURL: w.o.RedisURL,
		Operator: "the demo", Confirm: "two_step", Roles: []string{"web", "inbox", "pds", "firehose", "worker"}, Workers: 8,
		DevAllow: []string{"localhost", "127.0.0.1"}, LogLevel: "info",
	}
	if w.o.Chat {
		w.config.Chat, w.config.ChatDID = w.AT.Chat.URL(), atprototest.ChatDID
	}
	if w.o.Configure != nil {
		w.o.Configure(&w.config)
	}
}

func (w *World) startOn(ctx context.Context, listener net.Listener) error {
	if err := w.config.Validate(); err != nil {
		return errors.Join(err, listener.Close())
	}
	if w.o.Apart {
		return w.startApart(ctx, listener)
	}
	a, err := app.New(ctx, w.config, app.Options{Version: "test", Now: w.o.Now, Log: w.o.Log, Observe: w.o.Observe, HandleURL: w.AT.HandleURL,
		LookupTXT: noTXT})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	w.app, w.stop, w.finished = a, stop, make(chan error, 1)
	finished := w.finished
	go func() { finished <- a.RunOn(run, listener) }()
	return w.ready(ctx, finished)
}

// ready waits until the bridge answers; it then has done what a start does, a replay after a restore included.
func (w *World) ready(ctx context.Context, finished chan error) error {
	return Eventually(ctx, "the bridge's start", func(ctx context.Context) error {
		select {
		case err := <-finished:
			finished <- err
			return fmt.Errorf("it ended: %w", err)
		default:
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.URL+"/readyz", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	})
}

func (w *World) startApart(ctx context.Context, listener net.Listener) (err error) {
	if err := listener.Close(); err != nil { // the process takes the port over
		return err
	}
	if w.process, err = w.Spawn(ctx, w.o.Output, nil); err != nil {
		return err
	}
	return w.Ready(ctx)
}

// KillBridge ends a bridge that runs apart without warning.
func (w *World) KillBridge() {
	if w.process != nil {
		w.process.Kill()
		w.process = nil
	}
}

// App is the running bridge, nil if it runs apart.
func (w *World) App() *app.App { return w.app }

// StopBridge ends the bridge and leaves the networks running.
func (w *World) StopBridge() error {
	if w.process != nil {
		err := w.process.Stop()
		w.process = nil
		return err
	}
	if w.app == nil {
		return nil
	}
	w.stop()
	err := <-w.finished
	err = errors.Join(err, w.app.Close())
	w.app = nil
	return err
}

// StartBridge starts it again on the same address and data.
func (w *World) StartBridge(ctx context.Context) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", w.config.Listen)
	if err != nil {
		return err
	}
	return w.startOn(ctx, listener)
}

// Close stops everything that was started.
func (w *World) Close() error {
	err := w.StopBridge()
	if w.Fedi != nil {
		err = errors.Join(err, w.Fedi.Close())
	}
	if w.AT != nil {
		err = errors.Join(err, w.AT.Close())
	}
	if w.temp {
		err = errors.Join(err, os.RemoveAll(w.o.Dir))
	}
	return err
}

// Patience is how long Eventually waits.
const Patience = 20 * time.Second

// Eventually repeats a check until it holds.
func Eventually(ctx context.Context, what string, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, err)
		}
	}
}
