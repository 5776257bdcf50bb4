// Package activitypubtest holds fake fediverse servers: real HTTP servers in this process with actors, keys, inboxes that
// verify strictly and by code of their own, collections and media, speaking the dialects of well-known software. Tests and
// the demo drive them; nothing else may import this package.
package activitypubtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Options describe one fake server. The zero value is a Mastodon on a free port of localhost.
type Options struct {
	// Listen is where to listen, 127.0.0.1:0 if empty.
	Listen string
	// Origin is how others reach it (behind a TLS proxy: https://social.test). Empty: http://localhost:PORT.
	Origin string
	// Dialect is whose habits to follow; Mastodon if empty.
	Dialect Dialect
	// HTTP is what to fetch and deliver with; a plain client with a time-out if nil.
	HTTP *http.Client
	// SecureFetch wants signatures on all reads but of the instance actor. GoToSocial always does.
	SecureFetch bool
	// Duplicate is the part (0 to 1) of deliveries that are sent twice.
	Duplicate float64
	// Seed makes ids and chance repeatable; 0 takes a random one.
	Seed uint64
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

// Server is a fake fediverse server.
type Server struct {
	o      Options
	origin string
	rules  rules
	http   *http.Client
	ln     net.Listener
	srv    *http.Server

	mu       sync.Mutex
	rand     *rand.Rand
	actors   map[string]*Actor
	objects  map[string]map[string]any
	gone     map[string]bool
	media    map[string]file
	received []Received
	changed  chan struct{}
	keys     map[string]remoteKey
	fails    []int
	holding  bool
	held     []func() error
	requests int
	knocks   map[string]string
}

type file struct {
	mime string
	data []byte
}

// New makes a server; Start lets it listen.
func New(o Options) *Server {
	if o.Dialect == "" {
		o.Dialect = Mastodon
	}
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.HTTP == nil {
		o.HTTP = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	}
	seed := o.Seed
	if seed == 0 {
		seed = rand.Uint64()
	}
	h := *o.HTTP
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Server{o: o, rules: dialects[o.Dialect], http: &h, rand: rand.New(rand.NewPCG(seed, seed)),
		actors: map[string]*Actor{}, objects: map[string]map[string]any{}, gone: map[string]bool{}, media: map[string]file{},
		changed: make(chan struct{}), keys: map[string]remoteKey{}, knocks: map[string]string{}}
}

// Start listens and makes the instance actor.
func (s *Server) Start() error {
	ln, err := net.Listen("tcp", s.o.Listen)
	if err != nil {
		return fmt.Errorf("starting a fake server: %w", err)
	}
	s.ln = ln
	s.origin = strings.TrimSuffix(s.o.Origin, "/")
	if s.origin == "" {
		_, port, err := net.SplitHostPort(ln.Addr().String())
		if err != nil {
			return fmt.Errorf("starting a fake server: %w", err)
		}
		s.origin = "http://localhost:" + port
	}
	if _, err := s.NewActor(ActorOptions{Name: "instance.actor", Type: "Application"}); err != nil {
		return err
	}
	s.srv = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.srv.Serve(ln) }() // ends with Close
	return nil
}

// Close stops listening.
func (s *Server) Close() error {
	if s.srv == nil {
		return nil
	}
	s.http.CloseIdleConnections()
	if err := s.srv.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("closing a fake server: %w", err)
	}
	return nil
}

// Origin is scheme and host; Host is the part after the scheme, as in addresses.
func (s *Server) Origin() string { return s.origin }

// Host is what stands behind the @ of this server's accounts.
func (s *Server) Host() string {
	_, h, _ := strings.Cut(s.origin, "://")
	return h
}

// Addr is where it really listens.
func (s *Server) Addr() string { return s.ln.Addr().String() }

// Dialect is whose habits it follows.
func (s *Server) Dialect() Dialect { return s.o.Dialect }

// Requests counts what was asked of it.
func (s *Server) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// Fail makes the next inbox posts answer with these statuses instead of being read.
func (s *Server) Fail(statuses ...int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails = append(s.fails, statuses...)
}

// AddMedia serves a file and returns its URL.
func (s *Server) AddMedia(name, mime string, data []byte) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.media["/media/"+name] = file{mime, data}
	return s.origin + "/media/" + name
}

// Received is an activity that came to an inbox with a good signature.
type Received struct {
	At     time.Time
	Path   string
	Actor  string
	Type   string
	Object string
	// Signature is "cavage" or "rfc9421".
	Signature string
	// Activity is the document; Raw its bytes.
	Activity map[string]any
	Raw      []byte
	// Violations are the rules of the dialect that the document breaks; the real software would drop it.
	Violations []string
}

// Inbox is everything received so far.
func (s *Server) Inbox() []Received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Received(nil), s.received...)
}

// ClearInbox forgets what was received.
func (s *Server) ClearInbox() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.received = nil
}

// Wait returns the first thing received, before or after the call, that match is true of.
func (s *Server) Wait(ctx context.Context, match func(Received) bool) (Received, error) {
	for {
		s.mu.Lock()
		changed := s.changed
		for _, r := range s.received {
			if match(r) {
				s.mu.Unlock()
				return r, nil
			}
		}
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return Received{}, fmt.Errorf("waiting for an activity on %s: %w", s.Host(), ctx.Err())
		}
	}
}

// WaitType waits for an activity of a type, by the actor given or by anyone.
func (s *Server) WaitType(ctx context.Context, typ, actor string) (Received, error) {
	return s.Wait(ctx, func(r Received) bool { return r.Type == typ && (actor == "" || r.Actor == actor) })
}

func (s *Server) record(r Received) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.received = append(s.received, r)
	close(s.changed)
	s.changed = make(chan struct{})
}

// id makes an unguessable, repeatable piece of an id.
func (s *Server) id() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprintf("%d%06d", s.o.Now().UnixMilli(), s.rand.IntN(1_000_000))
}

// Hold keeps deliveries back until Release.
func (s *Server) Hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holding = true
}

// Release sends what was held back, in another order if shuffle is set.
func (s *Server) Release(shuffle bool) error {
	s.mu.Lock()
	held := s.held
	s.held, s.holding = nil, false
	if shuffle {
		s.rand.Shuffle(len(held), func(i, j int) { held[i], held[j] = held[j], held[i] })
	}
	s.mu.Unlock()
	var errs []error
	for _, send := range held {
		errs = append(errs, send())
	}
	return errors.Join(errs...)
}
