package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/bluesky-social/indigo/atproto/syntax"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"golang.org/x/sync/errgroup"

	"footbridge/atproto"
	"footbridge/bridge"
	"footbridge/bridge/store"
	"footbridge/queue"
	"footbridge/queue/memlane"
)

// openQueue wires the runner to the lanes that are configured.
func (a *App) openQueue(ctx context.Context) error {
	lanes, err := a.lanes(ctx)
	if err != nil {
		return err
	}
	a.Runner = &queue.Runner{Store: a.DB.Queue(), Scheduler: lanes, Handlers: a.Bridge.Handlers(), Workers: a.Config.Workers,
		Policy: policy(), Now: a.o.Now, Log: a.o.Log, Observer: a.Metrics, Poll: 50 * time.Millisecond}
	return nil
}

func (a *App) lanes(ctx context.Context) (queue.Scheduler, error) {
	if a.Config.RedisURL == "" {
		return memlane.New(), nil
	}
	lanes, closeLanes, err := openRedis(ctx, a.Config.RedisURL, a.o.Log)
	if err != nil {
		return nil, err
	}
	a.close = append(a.close, closeLanes)
	return lanes, nil
}

// policy is how long each kind of job is tried: what takes something back is tried for 14 days (R29).
func policy() queue.Policy {
	day := 24 * time.Hour
	return queue.Policy{
		Default: queue.Limit{Age: 3 * day},
		Limits: map[string]queue.Limit{
			bridge.JobDelete: {Age: 14 * day}, bridge.JobErase: {Age: 14 * day}, bridge.JobTombstone: {Age: 14 * day}, bridge.JobVerify: {Age: 3 * day},
			bridge.JobProvision: {Age: 14 * day}, bridge.JobPLC: {Age: 14 * day}, bridge.JobUpkeep: {Age: 365 * day}, bridge.JobDeliver: {Age: 3 * day},
		},
		Cap: 12 * time.Hour,
	}
}

// openServers puts everything that is served on one router.
func (a *App) openServers(context.Context) error {
	a.openReader()
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.Use(middleware.Recover())
	e.Server.ReadHeaderTimeout, e.Server.IdleTimeout = 10*time.Second, 2*time.Minute
	e.GET("/healthz", func(c echo.Context) error { return c.String(http.StatusOK, "ok\n") })
	e.GET("/readyz", a.getReady)
	e.GET("/metrics", echo.WrapHandler(a.Metrics.handler(a.DB.Queue(), a.o.Now)))
	e.GET("/.well-known/footbridge.json", a.getWellKnown)
	if a.Config.Has("inbox") || a.Config.Has("web") {
		a.server.Register(e)
	}
	if a.Config.Has("pds") || a.Config.Has("web") {
		a.Host.Register(e)
	}
	if a.Config.Has("web") {
		if err := a.registerPages(e); err != nil {
			return err
		}
	}
	a.echo = e
	return nil
}

// Handler is everything that the process serves.
func (a *App) Handler() http.Handler { return a.echo }

func (a *App) getReady(c echo.Context) error {
	err := a.DB.View(c.Request().Context(), func(*store.Tx) error { return nil })
	if err != nil {
		c.Response().Header().Set("Retry-After", "30")
		return c.String(http.StatusServiceUnavailable, "the database does not answer\n")
	}
	return c.String(http.StatusOK, "ready\n")
}

// getWellKnown tells programs where the bot is on both networks.
func (a *App) getWellKnown(c echo.Context) error {
	return c.JSON(http.StatusOK, map[string]any{
		"software": "footbridge", "version": a.o.Version,
		"bot":     map[string]any{"actor": a.Bridge.BotActor(), "acct": "bridge@" + a.Config.Host(), "did": a.Bridge.BotDID(), "handle": a.Bridge.BotHandle()},
		"consent": map[string]any{"collection": a.Bridge.ConsentCollection(), "rkey": "self"},
	})
}

// Run serves until ctx ends, then lets running work finish.
func (a *App) Run(ctx context.Context) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", a.Config.Listen)
	if err != nil {
		return fmt.Errorf("listening on %s: %w", a.Config.Listen, err)
	}
	return a.RunOn(ctx, listener)
}

// RunOn is Run on a listener of the caller's.
func (a *App) RunOn(ctx context.Context, listener net.Listener) error {
	group, ctx := errgroup.WithContext(ctx)
	if err := a.takeLeases(ctx, group); err != nil {
		return errors.Join(err, listener.Close())
	}
	// Nobody is answered before the bridge knows itself.
	if err := a.start(ctx); err != nil {
		return errors.Join(ignoreEnd(ctx, err), listener.Close())
	}
	group.Go(func() error { return a.serveHTTP(ctx, a.secure(listener)) })
	group.Go(func() error { return ignoreEnd(ctx, a.pool.Run(ctx)) })
	if a.Config.Has("worker") {
		group.Go(func() error { return a.Runner.Run(ctx) })
	}
	if a.Config.Has("pds") {
		group.Go(func() error { return ignoreEnd(ctx, a.Host.Run(ctx)) })
	}
	if a.Config.Has("firehose") && !a.Config.Offline() {
		for _, relay := range a.Config.Relays {
			group.Go(func() error { return ignoreEnd(ctx, a.Reader.Run(ctx, atproto.Source{URL: relay})) })
		}
	}
	if a.chat != nil && a.Config.Has("worker") {
		group.Go(func() error { return ignoreEnd(ctx, a.chat.Poll(ctx)) })
	}
	if a.Config.DNSListen != "" {
		group.Go(func() error { return ignoreEnd(ctx, a.serveDNS(ctx)) })
	}
	return group.Wait()
}

// start does once what every start needs.
func (a *App) start(ctx context.Context) error {
	if err := a.recover(ctx); err != nil {
		return err
	}
	if err := a.Bridge.EnsureBot(ctx); err != nil {
		return err
	}
	if err := a.Bridge.LoadInterest(ctx); err != nil {
		return fmt.Errorf("loading the accounts: %w", err)
	}
	if a.Config.Has("worker") {
		return a.Bridge.StartUpkeep(ctx)
	}
	return nil
}

func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (a *App) serveHTTP(ctx context.Context, listener net.Listener) error {
	server := &http.Server{Handler: a.echo, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), StopGrace/4)
		defer cancel()
		err := server.Shutdown(grace)
		if errors.Is(err, context.DeadlineExceeded) {
			err = server.Close() // firehose subscribers do not leave by themselves
		}
		stopped <- err
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving: %w", err)
	}
	return <-stopped
}

// serveDNS answers for the handle zone.
func (a *App) serveDNS(ctx context.Context) error {
	s := atproto.NewDNSServer(atproto.DNSOptions{Zone: a.Config.HandleZone, Addresses: a.addresses(ctx), Source: a, Log: a.o.Log})
	if _, err := s.Start(a.Config.DNSListen); err != nil {
		return fmt.Errorf("starting the DNS server on %s: %w", a.Config.DNSListen, err)
	}
	<-ctx.Done()
	return s.Close()
}

// addresses are those of the public host, which the handles of the zone share.
func (a *App) addresses(ctx context.Context) []netip.Addr {
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", a.Config.Hostname())
	if err != nil {
		a.o.Log.LogAttrs(ctx, slog.LevelWarn, "the public host has no address; the zone's names will have none either", slog.Any("error", err))
	}
	return found
}

// HandleDID is the atproto.ZoneSource: the handles of active repos.
func (a *App) HandleDID(ctx context.Context, h syntax.Handle) (syntax.DID, error) {
	return a.Host.HandleDID(ctx, h)
}

// keepDead is how long dead letters wait for the operator (retention.json).
const keepDead = 14 * 24 * time.Hour

// tidy sweeps what the queue and the sign-ins keep for a while.
func (a *App) tidy(ctx context.Context) error {
	_, err := a.DB.Queue().Prune(ctx, keepDead)
	return errors.Join(err, a.DB.Update(ctx, func(tx *store.Tx) error { return tx.OAuthSweep() }))
}
