package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"footbridge/activitypub/activitypubtest"
	"footbridge/bridge/bridgetest/oracle"
)

// front stands before a fediverse server and misbehaves towards deliveries when it is told to.
type front struct {
	kind  string
	bad   atomic.Bool
	open  atomic.Int32
	most  atomic.Int32
	tries atomic.Int32
	inner http.Handler
	end   chan struct{}
	srv   *http.Server
}

var badKinds = []string{"hangs", "slow", "500", "429", "broken"}

// newFront starts a server with a front of a kind.
func (r *Rig) newFront(kind string) (*front, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	s := activitypubtest.New(activitypubtest.Options{Origin: "http://localhost:" + port})
	if err := s.Start(); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	target, err := url.Parse("http://" + s.Addr())
	if err != nil {
		return nil, err
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(pr *httputil.ProxyRequest) {
		pr.SetURL(target)
		pr.Out.Host = pr.In.Host
	}}
	f := &front{kind: kind, inner: proxy, end: make(chan struct{})}
	f.srv = &http.Server{Handler: f, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = f.srv.Serve(l) }() // ends with Close
	r.close = append(r.close, s.Close, func() error { close(f.end); return f.srv.Close() })
	reader, err := s.NewActor(activitypubtest.ActorOptions{Name: "reader"})
	if err != nil {
		return nil, err
	}
	for _, p := range r.people {
		if p.side == oracle.ATmosphere && p.copy != "" {
			if err := r.follow(context.Background(), reader, p); err != nil {
				return nil, err
			}
		}
	}
	f.bad.Store(true)
	return f, nil
}

func (f *front) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodPost || !f.bad.Load() {
		f.inner.ServeHTTP(w, req)
		return
	}
	f.tries.Add(1)
	if n := f.open.Add(1); n > f.most.Load() {
		f.most.Store(n)
	}
	defer f.open.Add(-1)
	_, _ = io.Copy(io.Discard, req.Body) // what came does not matter
	f.misbehave(w, req)
}

func (f *front) misbehave(w http.ResponseWriter, req *http.Request) {
	switch f.kind {
	case "hangs":
		f.wait(req, time.Hour)
	case "slow":
		w.Header().Set("Content-Length", "1000000")
		w.WriteHeader(http.StatusAccepted)
		for f.wait(req, time.Second) {
			_, _ = w.Write([]byte("."))
			_ = http.NewResponseController(w).Flush()
		}
	case "500":
		w.WriteHeader(http.StatusInternalServerError)
	case "429":
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(http.StatusTooManyRequests)
	default:
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = conn.Close() // in the middle of everything
		}
	}
}

func (f *front) wait(req *http.Request, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-req.Context().Done():
	case <-f.end:
	}
	return false
}

// f7 puts servers that misbehave among the followers' servers.
func f7(ctx context.Context, p Plan, rep *Report) error {
	return within(ctx, p.setup(), func(r *Rig) error {
		var fronts []*front
		for i := range p.n(35, len(badKinds)) {
			f, err := r.newFront(badKinds[i%len(badKinds)])
			if err != nil {
				return fmt.Errorf("starting a bad server: %w", err)
			}
			fronts = append(fronts, f)
		}
		acts := oracle.Generate(p.Seed, r.Size)
		if err := r.Drive(ctx, acts, spread(acts, 5*time.Second)); err != nil {
			return err
		}
		if err := r.judge(ctx, rep); err != nil {
			return err
		}
		late := r.latency()
		rep.did("%d bad servers of %d", len(fronts), len(fronts)+len(r.fedis))
		rep.did("healthy p95 %.2f s", quantile(late, .95).Seconds())
		if quantile(late, .95) > 5*time.Second {
			rep.fail("healthy servers waited %v (p95)", quantile(late, .95))
		}
		for _, f := range fronts {
			if f.most.Load() > 2 {
				rep.fail("%d connections were open at once to a server that %s", f.most.Load(), f.kind)
			}
		}
		return nil
	})
}

// latency is how long each post of the ATmosphere took to each server.
func (r *Rig) latency() (out []time.Duration) {
	c := r.Case()
	sent := map[string]time.Time{}
	for _, a := range c.Acts {
		if a.Verb == oracle.Post && a.Side == oracle.ATmosphere {
			sent[a.Item] = a.At
		}
	}
	for _, s := range c.Seen {
		if s.Place == oracle.Relay || !strings.Contains(string(s.Raw), `"Create"`) {
			continue
		}
		if at, ok := sent[marker.FindString(string(s.Raw))]; ok {
			out = append(out, s.At.Sub(at))
		}
	}
	return out
}

// f17 takes the PLC directory away: who joined goes on, who joins waits and is not forgotten.
func f17(ctx context.Context, p Plan, rep *Report) error {
	return within(ctx, p.setup(), func(r *Rig) error {
		late := []string{"fay9001", "bo9001"}
		if err := errors.Join(r.add(late[0], oracle.Fediverse), r.add(late[1], oracle.ATmosphere)); err != nil {
			return err
		}
		if err := r.World.AT.Settle(ctx); err != nil { // the relay knows the newcomer before the directory goes
			return err
		}
		r.World.AT.PLC.Fail(http.StatusServiceUnavailable)
		start := time.Now()
		joined := make(chan error, 2)
		for _, name := range late {
			go func() { joined <- r.join(ctx, r.people[name]) }()
		}
		acts := oracle.Generate(p.Seed, r.Size)
		if err := r.Drive(ctx, acts, spread(acts, time.Duration(p.n(60, 6))*time.Second)); err != nil {
			return err
		}
		before := len(joined)
		down := time.Since(start)
		r.World.AT.PLC.Fail(0)
		after := 0
		for range late {
			if err := <-joined; err != nil {
				rep.fail("after the PLC directory came back: %v", err)
			} else {
				after++
			}
		}
		rep.did("down for %.0f s", down.Seconds())
		rep.did("%d of 2 joined meanwhile, %d in the end", before, after)
		return r.judge(ctx, rep)
	})
}

// f18 lets one more join than the relay shows.
func f18(ctx context.Context, p Plan, rep *Report) error {
	s := p.setup()
	s.AccountLimit = s.Size.Authors + 1 // the bot is one
	return within(ctx, s, func(r *Rig) error {
		if err := r.add("fay9001", oracle.Fediverse); err != nil {
			return err
		}
		late := r.people["fay9001"]
		if err := r.askToJoin(ctx, late); err != nil {
			return err
		}
		wait, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		start := time.Now()
		if _, err := r.message(wait, late, "."+"ap.bridge.test"); err != nil {
			return fmt.Errorf("waiting for a receipt: %w", err)
		}
		receipts := r.messagesTo(late)
		err := until(wait, func(context.Context) error {
			if r.messagesTo(late) <= receipts {
				return errors.New("not told")
			}
			return nil
		})
		if err != nil {
			rep.fail("a member that the relay hides was not told within a minute")
		}
		rep.did("told after %.0f s", time.Since(start).Seconds())
		return r.hidden(ctx, p, late, rep)
	})
}

func (r *Rig) messagesTo(p *person) (n int) {
	for _, got := range p.server.Inbox() {
		if got.Type == "Create" && got.Actor == r.bot.actor && strings.Contains(string(got.Raw), `"`+p.fedi.ID+`"`) {
			n++
		}
	}
	return n
}

// hidden lets the hidden member post, raises the limit, and expects to see all of it once.
func (r *Rig) hidden(ctx context.Context, p Plan, late *person, rep *Report) error {
	const posts = 5
	for i := range posts {
		if _, err := late.fedi.Post(ctx, activitypubtest.Note{Content: fmt.Sprintf("<p>hidden%d</p>", i)}); err != nil {
			return err
		}
	}
	acts := oracle.Generate(p.Seed, r.Size)
	if err := r.Drive(ctx, acts, 0); err != nil {
		return err
	}
	r.World.AT.Relay.SetLimit(strings.TrimPrefix(r.World.URL, "http://"), 1000)
	did, err := r.didOf(ctx, late)
	if err != nil {
		return err
	}
	wait, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	start := time.Now()
	err = until(wait, func(ctx context.Context) error {
		shown, err := r.feed(ctx, did)
		if err != nil {
			return err
		}
		if len(shown) != posts {
			return fmt.Errorf("%d of %d posts are shown", len(shown), posts)
		}
		return nil
	})
	if err != nil {
		rep.fail("after the relay's limit was raised: %v", err)
	}
	rep.did("%d posts of a hidden member shown %.0f s after the limit was raised", posts, time.Since(start).Seconds())
	return r.judge(ctx, rep)
}

// didOf asks the bridge itself for a member's DID, by the handle of the receipt.
func (r *Rig) didOf(ctx context.Context, p *person) (string, error) {
	receipt, err := r.message(ctx, p, ".ap.bridge.test")
	if err != nil {
		return "", err
	}
	name := handle.FindStringSubmatch(receipt)
	if name == nil {
		return "", errors.New("the receipt names no handle")
	}
	var out struct{ DID string }
	err = r.get(ctx, r.World.URL+"/xrpc/com.atproto.identity.resolveHandle?handle="+name[1], &out)
	return out.DID, err
}
