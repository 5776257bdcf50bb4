package activitypub

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"footbridge/identity"
)

// Actors reads actors of other servers and remembers them, in memory through the keys made of them and in the store.
type Actors struct {
	client *Client
	store  Store // may be nil
	now    func() time.Time
}

// NewActors makes one; without a store everything is fetched each time.
func NewActors(c *Client, store Store) *Actors {
	return &Actors{client: c, store: store, now: c.o.Now}
}

// Actor gives an actor, fetched at most maxAge ago.
func (a *Actors) Actor(ctx context.Context, id identity.ActorID, maxAge time.Duration) (*RemoteActor, error) {
	if r := a.cached(ctx, id); r != nil && a.now().Sub(r.Fetched) <= maxAge {
		return r, nil
	}
	raw, err := a.client.fetchByID(ctx, string(id))
	if err != nil {
		return nil, fmt.Errorf("fetching an actor: %w", err)
	}
	r, err := ParseActor(raw)
	if err != nil {
		return nil, err
	}
	if r.ID != id {
		return nil, fmt.Errorf("fetching an actor: %w: it has another id", ErrDocument)
	}
	r.Fetched = a.now()
	a.keep(ctx, *r)
	return r, nil
}

// ParseActor reads what is needed of an actor document, wherever it came from; the caller vouches for its origin.
func ParseActor(raw []byte) (*RemoteActor, error) {
	doc, err := parseDocument(raw)
	if err != nil {
		return nil, err
	}
	id, err := identity.ParseActorID(doc.id())
	if err != nil || !doc.isActor() {
		return nil, fmt.Errorf("%w: not an actor", ErrDocument)
	}
	r := &RemoteActor{ID: id, Raw: raw, Inbox: idOf(doc["inbox"])}
	if e, ok := doc.object("endpoints"); ok {
		r.SharedInbox = idOf(e["sharedInbox"])
	}
	if r.SharedInbox == "" {
		r.SharedInbox = idOf(doc["sharedInbox"])
	}
	// An inbox elsewhere would let an actor aim our deliveries at somebody else's server.
	if !sameSite(r.Inbox, doc.id()) {
		return nil, fmt.Errorf("%w: the actor's inbox is not on its own site", ErrDocument)
	}
	if r.SharedInbox != "" && !sameSite(r.SharedInbox, doc.id()) {
		r.SharedInbox = ""
	}
	return r, nil
}

// sameSite is true of URLs of one origin, or of hosts below one registrable domain (inbox.example.com, example.com).
func sameSite(a, b string) bool {
	if originOf(a) == originOf(b) && originOf(a) != "" {
		return true
	}
	x, errX := url.Parse(a)
	y, errY := url.Parse(b)
	if errX != nil || errY != nil || x.Scheme != "https" || y.Scheme != "https" {
		return false
	}
	dx, errX := publicsuffix.EffectiveTLDPlusOne(strings.ToLower(x.Hostname()))
	dy, errY := publicsuffix.EffectiveTLDPlusOne(strings.ToLower(y.Hostname()))
	return errX == nil && errY == nil && dx == dy && net.ParseIP(x.Hostname()) == nil
}

func (a *Actors) cached(ctx context.Context, id identity.ActorID) *RemoteActor {
	if a.store == nil {
		return nil
	}
	var r *RemoteActor
	// A cache that cannot be read is an empty one: the origin is asked.
	_ = a.store.View(ctx, func(tx Tx) (err error) {
		r, err = tx.RemoteActorGet(id)
		return err
	})
	return r
}

func (a *Actors) keep(ctx context.Context, r RemoteActor) {
	if a.store != nil {
		// Not keeping it costs another fetch.
		_ = a.store.Update(ctx, func(tx Tx) error { return tx.RemoteActorPut(r) })
	}
}

// learn keeps an actor document that its own actor sent.
func (a *Actors) learn(ctx context.Context, doc document) {
	raw, err := json.Marshal(map[string]any(doc))
	if err != nil {
		return
	}
	if r, err := ParseActor(raw); err == nil {
		r.Fetched = a.now()
		a.keep(ctx, *r)
	}
}

// document gives the document at a URL for the key ring: an actor from the cache, or whatever is there.
func (a *Actors) document(ctx context.Context, id string, fresh bool) (document, error) {
	if r := a.cached(ctx, identity.ActorID(id)); r != nil && !fresh && a.now().Sub(r.Fetched) < keyLife {
		return parseDocument(r.Raw)
	}
	raw, err := a.client.fetchKey(ctx, id)
	if err != nil {
		return nil, err
	}
	if r, err := ParseActor(raw); err == nil && string(r.ID) == id {
		r.Fetched = a.now()
		a.keep(ctx, *r)
	}
	return parseDocument(raw)
}

// fetchKey reads what is at a key's URL. Its id may be the actor's (GoToSocial's stub), of the same origin only.
func (c *Client) fetchKey(ctx context.Context, at string) (json.RawMessage, error) {
	raw, final, err := c.get(ctx, at)
	if err != nil {
		return nil, err
	}
	doc, err := parseDocument(raw)
	if err != nil {
		return nil, err
	}
	if originOf(final) != originOf(at) || originOf(doc.id()) != originOf(at) {
		return nil, fmt.Errorf("%w: its id is of another origin", ErrDocument)
	}
	return raw, nil
}
