// Package app wires the rooms of the house into one process: what footbridge serve, the demo and the tests run.
package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/bluesky-social/indigo/atproto/syntax"
	"github.com/gorilla/websocket"
	"github.com/labstack/echo/v4"
	"golang.org/x/mod/sumdb/note"

	"footbridge/activitypub"
	"footbridge/atproto"
	"footbridge/atproto/pds"
	"footbridge/bridge"
	"footbridge/bridge/netguard"
	"footbridge/bridge/store"
	"footbridge/identity"
	"footbridge/identity/consent"
	"footbridge/queue"
)

// Version is what this build calls itself.
type Version string

// Options are what a caller sets besides the configuration.
type Options struct {
	Version Version
	Now     func() time.Time
	Log     *slog.Logger
	// Guard replaces the configured network guard (tests).
	Guard *netguard.Guard
	// LookupTXT replaces the system's DNS (tests and demo).
	LookupTXT func(context.Context, string) ([]string, error)
	// HandleURL says where to ask for a handle instead of at the handle itself (tests and demo).
	HandleURL func(syntax.Handle) string
	// Observe is told every outcome (demo).
	Observe func(bridge.Outcome)
}

// App is a wired bridge that has not been started.
type App struct {
	Config Config
	o      Options

	DB      *store.DB
	Bridge  *bridge.Bridge
	Desk    *consent.Desk
	Host    *pds.Host
	Reader  *atproto.Reader
	Runner  *queue.Runner
	Metrics *Metrics

	client *activitypub.Client
	chat   *atproto.Chat
	guard  *netguard.Guard
	keys   *identity.Keyring
	server *activitypub.Server
	pool   *activitypub.KeyPool
	echo   *echo.Echo
	close  []func() error
}

// New opens the data folder and wires everything. Nothing is dialled and nothing listens yet.
func New(ctx context.Context, c Config, o Options) (a *App, err error) {
	a = &App{Config: c, o: o}
	a.defaults()
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	for _, step := range []func(context.Context) error{a.openData, a.openNetwork, a.openDesk, a.openBridge, a.openQueue, a.openServers} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func (a *App) defaults() {
	if a.o.Now == nil {
		a.o.Now = time.Now
	}
	if a.o.Log == nil {
		a.o.Log = slog.New(slog.DiscardHandler)
	}
	if a.o.Version == "" {
		a.o.Version = "dev"
	}
	a.Metrics = NewMetrics()
}

// Close closes the database. It is safe after a failed New.
func (a *App) Close() error {
	var errs error
	for i := len(a.close) - 1; i >= 0; i-- {
		errs = errors.Join(errs, a.close[i]())
	}
	a.close = nil
	return errs
}

func (a *App) userAgent() string {
	return fmt.Sprintf("Footbridge/%s (+%s)", a.o.Version, a.Config.PublicURL)
}

// openData opens the data folder: master key, database.
func (a *App) openData(ctx context.Context) (err error) {
	if err := os.MkdirAll(a.Config.DataDir, 0o700); err != nil {
		return fmt.Errorf("making the data folder: %w", err)
	}
	if a.keys, err = identity.CreateKeyring(filepath.Join(a.Config.DataDir, "master.key")); err != nil {
		return err
	}
	a.DB, err = store.Open(ctx, store.Options{URL: a.Config.DatabaseURL, Path: filepath.Join(a.Config.DataDir, "footbridge.db"), Now: a.o.Now, Log: a.o.Log})
	if err != nil {
		return err
	}
	a.close = append(a.close, a.DB.Close)
	return nil
}

// openNetwork makes the one guard that everything dials through.
func (a *App) openNetwork(context.Context) (err error) {
	if a.o.Guard != nil {
		a.guard = a.o.Guard
		return nil
	}
	var ca []byte
	if a.Config.DevCA != "" {
		if ca, err = os.ReadFile(a.Config.DevCA); err != nil {
			return fmt.Errorf("reading dev_ca: %w", err)
		}
	}
	a.guard, err = netguard.New(netguard.Options{DevAllow: a.Config.DevAllow, DevHTTP: len(a.Config.DevAllow) > 0, ExtraCA: ca, UserAgent: a.userAgent()})
	return err
}

// openDesk opens the consent desk with its secret and its signing key, made at first start beside the master key.
func (a *App) openDesk(context.Context) error {
	c, err := a.consentConfig()
	if err != nil {
		return err
	}
	a.Desk, err = consent.NewDesk(c)
	return err
}

func (a *App) consentConfig() (consent.Config, error) {
	secret, err := a.keys.Derive("consent pseudonyms")
	if err != nil {
		return consent.Config{}, err
	}
	signer, err := a.logSigner()
	if err != nil {
		return consent.Config{}, err
	}
	return consent.Config{
		Secret: secret, Sealer: a.keys, Signer: signer, OneStep: a.Config.Confirm == "one_step",
		Operator: consent.Operator{Name: "Footbridge at " + a.Config.Host(), Domain: a.Config.Host(), Runner: a.Config.Operator, Contact: a.Config.contact(),
			LeaveURL: a.Config.PublicURL + "/leave/", PageURL: a.Config.PublicURL + "/"},
	}, nil
}

func (c *Config) contact() string {
	if c.Contact == "" {
		return c.PublicURL
	}
	return c.Contact
}

// logSigner reads the key that signs the ledger's checkpoints.
func (a *App) logSigner() (note.Signer, error) {
	path := filepath.Join(a.Config.DataDir, "ledger.key")
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		private, _, err := note.GenerateKey(rand.Reader, a.Config.Host()+"/consent")
		if err != nil {
			return nil, fmt.Errorf("making the ledger's key: %w", err)
		}
		if err := os.WriteFile(path, []byte(private), 0o600); err != nil {
			return nil, fmt.Errorf("writing the ledger's key: %w", err)
		}
		text = []byte(private)
	} else if err != nil {
		return nil, fmt.Errorf("reading the ledger's key: %w", err)
	}
	signer, err := note.NewSigner(string(text))
	if err != nil {
		return nil, fmt.Errorf("the ledger's key in %s cannot be used: %w", path, err)
	}
	return signer, nil
}

// openBridge wires the two network sides to the domain. The bridge serves as key source and directory of the fediverse
// side, whose client it uses: the knot is tied by a late-bound source.
func (a *App) openBridge(context.Context) error {
	gate, err := a.gate()
	if err != nil {
		return err
	}
	documents := a.guard.Client(netguard.DocumentLimit)
	late := &lateKeys{}
	apStore := store.Room[activitypub.Tx]{DB: a.DB}
	client := activitypub.NewClient(activitypub.ClientOptions{HTTP: documents, Keys: late, Instance: identity.ActorID(a.Config.PublicURL + "/actor"),
		Hosts: activitypub.NewHostMemory(apStore, a.o.Now), Blocked: late.blocked, UserAgent: a.userAgent(), Now: a.o.Now})
	resolver := a.resolver(documents)
	if err := a.openHost(resolver, gate); err != nil {
		return err
	}
	journal, err := a.openJournal()
	if err != nil {
		return err
	}
	a.pool = activitypub.NewKeyPool(4)
	a.Bridge, err = bridge.New(bridge.Deps{
		Store: store.Room[bridge.Tx]{DB: a.DB}, Gate: gate, Desk: a.Desk, Keys: a.keys, Host: a.Host, Fetcher: client, Sender: client,
		Actors: activitypub.NewActors(client, apStore), KeyMaker: func(context.Context) (activitypub.KeyPair, error) { return a.pool.Get() },
		Resolver: resolver, Reader: atproto.NewClient(resolver), PLC: atproto.NewPLC(a.Config.PLCURL, resolver), Media: a.guard.Client(bridge.MaxVideoFetch),
		Breaker: queue.NewBreaker(queue.BreakerOptions{Now: a.o.Now}), Journal: journal, Tidy: a.tidy, Interest: atproto.NewDIDSet(), Observe: a.observe, Now: a.o.Now, Log: a.o.Log,
		Settings: bridge.Settings{Domain: a.Config.Host(), BaseURL: a.Config.PublicURL, Zone: a.Config.HandleZone, Relays: a.Config.Relays,
			AppView: a.Config.AppView, OneStep: a.Config.Confirm == "one_step", Offline: a.Config.Offline()},
	})
	if err != nil {
		return err
	}
	late.b, a.client = a.Bridge, client
	a.openChat()
	return a.openFediverse(client, apStore)
}

func (a *App) gate() (consent.PermitSource, error) {
	c, err := a.consentConfig()
	if err != nil {
		return nil, err
	}
	return consent.NewGate(c), nil
}

func (a *App) observe(o bridge.Outcome) {
	a.Metrics.Outcome(o)
	if a.o.Observe != nil {
		a.o.Observe(o)
	}
}

func (a *App) resolver(client *http.Client) *atproto.Resolver {
	return atproto.NewResolver(atproto.ResolverOptions{Client: client, PLC: a.Config.PLCURL, LookupTXT: a.o.LookupTXT,
		Insecure: len(a.Config.DevAllow) > 0, HandleURL: a.o.HandleURL, Now: a.o.Now, UserAgent: a.userAgent()})
}

func (a *App) openHost(resolver *atproto.Resolver, gate consent.PermitSource) error {
	blobs, err := pds.NewDiskBlobs(filepath.Join(a.Config.DataDir, "blobs"), a.o.Now)
	if err != nil {
		return err
	}
	migration, err := a.migration(resolver, gate)
	if err != nil {
		return err
	}
	a.Host, err = pds.New(pds.Options{Store: store.Room[pds.Tx]{DB: a.DB}, Keys: a.keys, Blobs: blobs, Hostname: a.Config.Host(), URL: a.Config.PublicURL, Migration: migration,
		HandleDomains: []string{a.Config.HandleZone}, Contact: a.Config.Contact, Version: string(a.o.Version), Now: a.o.Now, Log: a.o.Log})
	return err
}

func (a *App) openFediverse(client *activitypub.Client, apStore store.Room[activitypub.Tx]) (err error) {
	ring := activitypub.NewKeyRing(a.Bridge.Actors)
	a.server, err = activitypub.NewServer(activitypub.ServerOptions{
		Base: a.Config.PublicURL, Instance: a.Bridge.InstanceActor(), Bot: a.Bridge.BotActor(), Directory: a.Bridge.Directory(), Keys: a.Bridge,
		Verifier: activitypub.NewVerifier(a.Config.PublicURL, ring, a.o.Now), Client: client, Store: apStore, Inbox: a.Bridge.AcceptInbound,
		Authority: activitypub.Authority{Owner: a.Bridge.Owner}, Knows: a.Bridge.Knows,
		Software: activitypub.Software{Name: "footbridge", Version: string(a.o.Version)}, Secure: a.Config.SecureMode, Log: a.o.Log, Now: a.o.Now,
	})
	return err
}

// openReader prepares the firehose consumer.
func (a *App) openReader() {
	a.Reader = atproto.NewReader(atproto.ReaderOptions{Resolver: a.Bridge.Resolver, Store: store.Room[atproto.Tx]{DB: a.DB}, Interest: a.Bridge.Watcher(),
		Sink: a.Bridge, Dialer: &websocket.Dialer{NetDialContext: a.guard.DialContext, TLSClientConfig: a.guard.TLS(), HandshakeTimeout: 20 * time.Second}, Log: a.o.Log})
}

// lateKeys lets the fediverse client sign with keys of the bridge that is built after it.
type lateKeys struct{ b *bridge.Bridge }

func (l *lateKeys) SigningKey(ctx context.Context, id identity.ActorID) (activitypub.KeyPair, error) {
	return l.b.SigningKey(ctx, id)
}

func (l *lateKeys) blocked(ctx context.Context, host string) bool {
	return l.b.Directory().BlockedHost(ctx, host)
}
