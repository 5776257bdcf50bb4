// Package chaos breaks a running bridge on purpose, one fault of the table at a time, while a workload crosses it, and
// asks the oracle what became of it. The bridge, the fakes, the database and Redis are real; only tests and the command of
// the same name import it.
package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"footbridge/activitypub/activitypubtest"
	"footbridge/atproto/atprototest"
	"footbridge/bridge/bridgetest"
	"footbridge/bridge/bridgetest/oracle"
	"footbridge/cmd/footbridge/app"
)

// Backend says what the bridge stands on.
type Backend struct {
	// Postgres is the URL of a server in which databases may be made; empty: SQLite.
	Postgres string
	// Redis is the program redis-server; empty: lanes in memory.
	Redis string
}

func (b Backend) String() string {
	db, lanes := "SQLite", "memlane"
	if b.Postgres != "" {
		db = "PostgreSQL"
	}
	if b.Redis != "" {
		lanes = "redislane"
	}
	return db + "/" + lanes
}

// Setup of a rig.
type Setup struct {
	Backend Backend
	Seed    uint64
	Size    oracle.Size
	// Servers of the fediverse.
	Servers int
	// Apart runs the bridge in a process of its own, for faults that kill it.
	Apart bool
	// RedisLater leaves Redis down until it is started.
	RedisLater bool
	// AccountLimit of the relay; 0 is plenty.
	AccountLimit int
	Output       io.Writer
	Configure    func(*app.Config)

	// onRedis is told of a Redis that was left down.
	onRedis func(*Redis)
}

// Rig is a bridge between its two networks, with people on both who joined, and some who did not.
type Rig struct {
	Setup
	World *bridgetest.World
	Redis *Redis
	fedis []*activitypubtest.Server
	http  *http.Client
	view  bridgetest.AppView

	bot struct{ actor, did, collection, inbox string }

	people  map[string]*person
	readers []*activitypubtest.Actor

	config        app.Config
	renewDatabase func(context.Context) error

	mu    sync.Mutex
	acts  []oracle.Act
	index index
	close []func() error
	// deliver sends one activity; faults replace it.
	deliver func(context.Context, *person, []byte) error
}

// person is an author of the workload.
type person struct {
	name   string
	side   oracle.Side
	fedi   *activitypubtest.Actor
	server *activitypubtest.Server
	at     *atprototest.Account
	// copy is the DID or the actor id on the other side.
	copy string
}

// New starts everything and lets the authors join.
func New(ctx context.Context, s Setup) (r *Rig, err error) {
	r = &Rig{Setup: s, people: map[string]*person{}, http: &http.Client{Timeout: 30 * time.Second}, index: newIndex()}
	r.deliver = r.persist
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	if err := r.start(ctx); err != nil {
		return r, err
	}
	return r, r.populate(ctx)
}

func (r *Rig) start(ctx context.Context) error {
	o := bridgetest.Options{Apart: r.Apart, Output: r.Output, Configure: r.configure, AccountLimit: r.AccountLimit}
	if r.Backend.Postgres != "" {
		url, drop, renew, err := makeDatabase(ctx, r.Backend.Postgres)
		if err != nil {
			return err
		}
		o.DatabaseURL, r.renewDatabase = url, renew
		r.close = append(r.close, drop)
	}
	if r.Backend.Redis != "" {
		var err error
		if r.Redis, err = newRedis(r.Backend.Redis); err != nil {
			return err
		}
		r.close = append(r.close, r.Redis.Close)
		o.RedisURL = "redis://" + r.Redis.Addr()
		if r.RedisLater {
			r.onRedis(r.Redis)
		} else if err := r.Redis.Start(ctx); err != nil {
			return err
		}
	}
	w, err := bridgetest.New(ctx, o)
	r.World = w
	if err != nil {
		return fmt.Errorf("starting a bridge: %w", err)
	}
	r.close = append(r.close, w.Close)
	r.fedis = []*activitypubtest.Server{w.Fedi}
	r.view = bridgetest.AppView{Base: w.AT.AppView.URL(), HTTP: r.http}
	for len(r.fedis) < r.Servers {
		if _, err := r.addServer(activitypubtest.Options{}); err != nil {
			return err
		}
	}
	return nil
}

func (r *Rig) configure(c *app.Config) {
	if r.Configure != nil {
		r.Configure(c)
	}
	r.config = *c
}

func (r *Rig) addServer(o activitypubtest.Options) (*activitypubtest.Server, error) {
	s := activitypubtest.New(o)
	if err := s.Start(); err != nil {
		return nil, err
	}
	r.close = append(r.close, s.Close)
	r.fedis = append(r.fedis, s)
	return s, nil
}

// Close stops everything.
func (r *Rig) Close() error {
	var errs error
	for i := len(r.close) - 1; i >= 0; i-- {
		errs = errors.Join(errs, r.close[i]())
	}
	r.close = nil
	return errs
}

// Servers are the hosts of the fediverse servers.
func (r *Rig) hosts() (out []string) {
	for _, s := range r.fedis {
		out = append(out, s.Host())
	}
	return out
}

// Case is what happened so far, for the oracle.
func (r *Rig) Case() oracle.Case {
	r.look()
	r.mu.Lock()
	defer r.mu.Unlock()
	return oracle.Case{Acts: append([]oracle.Act(nil), r.acts...), Seen: append([]oracle.Seen(nil), r.index.seen...), Servers: r.hosts()}
}

// Settle waits until nothing is missing any more and all is quiet, or until patience ends, and gives the last verdict.
func (r *Rig) Settle(ctx context.Context, patience time.Duration) (oracle.Verdict, time.Duration, error) {
	start := time.Now()
	drained, quiet, last := time.Duration(0), time.Now(), -1
	for {
		c := r.Case()
		v := oracle.Judge(c)
		now := time.Now()
		if len(c.Seen) != last {
			last, quiet = len(c.Seen), now
		}
		if v.Missing() == 0 && drained == 0 {
			drained = now.Sub(start)
		}
		if v.Missing() == 0 && now.Sub(quiet) > 2*time.Second || now.Sub(start) > patience {
			v, err := r.final(ctx, c)
			return v, drained, err
		}
		select {
		case <-time.After(300 * time.Millisecond):
		case <-ctx.Done():
			return v, drained, ctx.Err()
		}
	}
}

// final judges with what readers are shown.
func (r *Rig) final(ctx context.Context, c oracle.Case) (oracle.Verdict, error) {
	var err error
	c.Shown, err = r.shown(ctx)
	c.Checked = true
	return oracle.Judge(c), err
}

// shown asks the AppView for all that the copies show.
func (r *Rig) shown(ctx context.Context) (out []oracle.Shown, err error) {
	for _, p := range r.people {
		if p.side != oracle.Fediverse || p.copy == "" {
			continue
		}
		posts, err := r.feed(ctx, p.copy)
		if err != nil && !strings.Contains(err.Error(), "status 400") { // gone or hidden
			return nil, err
		}
		for _, post := range posts {
			if post.Author.DID == p.copy {
				out = append(out, oracle.Shown{URI: post.URI, Author: p.name, Text: post.Record.Text})
			}
		}
	}
	return out, nil
}

func (r *Rig) feed(ctx context.Context, did string) ([]bridgetest.Post, error) {
	var out struct {
		Feed []struct {
			Post bridgetest.Post `json:"post"`
		} `json:"feed"`
	}
	err := r.view.Query(ctx, "app.bsky.feed.getAuthorFeed", map[string][]string{"actor": {did}, "limit": {"1000000"}}, &out)
	var posts []bridgetest.Post
	for _, f := range out.Feed {
		posts = append(posts, f.Post)
	}
	return posts, err
}

func (r *Rig) get(ctx context.Context, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/activity+json, application/json")
	resp, err := r.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // only read
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: status %d", url, resp.StatusCode)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}
