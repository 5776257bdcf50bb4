package activitypub

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"

	"footbridge/identity"
)

// PublicKey is a key of another actor, already parsed.
type PublicKey struct {
	ID    string
	Owner identity.ActorID
	Key   crypto.PublicKey
}

// How long keys and actors are believed, and how often one key may be asked for again when a signature does not fit.
const (
	keyLife     = 24 * time.Hour
	refreshGap  = 5 * time.Minute
	failureLife = 30 * time.Second
	maxKeys     = 20_000
	// keyFetches bounds fetches a minute from one host: anyone can make us fetch by claiming a key.
	keyFetches = 120
)

// KeyRing finds and keeps public keys. Everything it fetches is asked for before anything is proven, so it is bounded
// and believes only what an actor's own document says.
type KeyRing struct {
	actors    *Actors
	keys      *recent[string, PublicKey]
	failed    *recent[string, error]
	refreshed *recent[string, struct{}]
	budget    *recent[string, *rate.Limiter]
	flight    singleflight.Group
}

// NewKeyRing makes one over the actors.
func NewKeyRing(actors *Actors) *KeyRing {
	now := actors.now
	return &KeyRing{actors: actors,
		keys:      newRecent[string, PublicKey](maxKeys, keyLife, now),
		failed:    newRecent[string, error](maxKeys, failureLife, now),
		refreshed: newRecent[string, struct{}](maxKeys, refreshGap, now),
		budget:    newRecent[string, *rate.Limiter](maxHosts, time.Hour, now)}
}

// spend takes one fetch from a host's budget.
func (k *KeyRing) spend(host string) bool {
	l, ok := k.budget.get(host)
	if !ok {
		l = rate.NewLimiter(keyFetches/60.0, keyFetches)
		k.budget.add(host, l)
	}
	return l.AllowN(k.actors.now(), 1)
}

// Key gives the key with an id. With fresh it is fetched again, unless that was done a moment ago.
func (k *KeyRing) Key(ctx context.Context, id string, fresh bool) (PublicKey, error) {
	if key, ok := k.keys.get(id); ok && (!fresh || !k.refreshed.add(id, struct{}{})) {
		return key, nil
	} else if err, failed := k.failed.get(id); failed && !ok {
		return PublicKey{}, err
	}
	// Many who wait for one key share one fetch, which does not end because the first of them gave up.
	got, err, _ := k.flight.Do(id, func() (any, error) { return k.refetch(context.WithoutCancel(ctx), id, fresh) })
	if err != nil {
		return PublicKey{}, err
	}
	return got.(PublicKey), nil //nolint:forcetypeassert // refetch gives nothing else
}

func (k *KeyRing) refetch(ctx context.Context, id string, fresh bool) (PublicKey, error) {
	key, err := k.fetch(ctx, id, fresh)
	if err != nil {
		k.failed.put(id, err)
		return PublicKey{}, err
	}
	k.keys.put(id, key)
	return key, nil
}

// Forget drops a key, for instance after an Update of its actor.
func (k *KeyRing) Forget(id string) { k.keys.forget(id) }

func (k *KeyRing) fetch(ctx context.Context, id string, fresh bool) (PublicKey, error) {
	u, err := url.Parse(id)
	if err != nil || u.Host == "" || len(id) > 2048 || u.User != nil {
		return PublicKey{}, fmt.Errorf("%w: key id is not a URL", ErrSignature)
	}
	if !k.spend(strings.ToLower(u.Host)) {
		return PublicKey{}, fmt.Errorf("%w: too many keys of one host", ErrTemporary)
	}
	at := withoutFragment(id)
	doc, err := k.actors.document(ctx, at, fresh)
	if err != nil {
		return PublicKey{}, keyError(err)
	}
	owner := keyOwner(doc)
	if owner != at { // a key of its own, or a stub of the actor: only the whole actor counts
		if originOf(owner) == "" || originOf(owner) != originOf(id) {
			return PublicKey{}, fmt.Errorf("%w: key and owner are of different origin", ErrSignature)
		}
		if doc, err = k.actors.document(ctx, owner, fresh); err != nil {
			return PublicKey{}, keyError(err)
		}
	}
	if doc.id() != owner {
		return PublicKey{}, fmt.Errorf("%w: the actor is not where its id says", ErrSignature)
	}
	return findKey(doc, id)
}

// keyError keeps apart what may get better (the sender shall try again) and what says that the actor is gone.
func keyError(err error) error {
	if errors.Is(err, ErrTemporary) || errors.Is(err, ErrGone) {
		return fmt.Errorf("fetching a key: %w", err)
	}
	return fmt.Errorf("%w: fetching its key: %w", ErrSignature, err)
}

// keyOwner is the actor that a document is, or says it belongs to.
func keyOwner(doc document) string {
	if doc.isActor() && doc.str("inbox") != "" {
		return doc.id()
	}
	for _, d := range append([]any{map[string]any(doc)}, many(doc["publicKey"])...) {
		if m, ok := d.(map[string]any); ok {
			for _, p := range []string{"owner", "controller"} {
				if o := idOf(m[p]); o != "" {
					return o
				}
			}
		}
	}
	return doc.id()
}

// findKey looks a key up in the document of its owner, who must list it as its own.
func findKey(actor document, id string) (PublicKey, error) {
	owner, err := identity.ParseActorID(actor.id())
	if err != nil || !actor.isActor() {
		return PublicKey{}, fmt.Errorf("%w: the key's owner is no actor", ErrSignature)
	}
	for _, p := range []struct{ list, owner, text string }{
		{"publicKey", "owner", "publicKeyPem"}, {"assertionMethod", "controller", "publicKeyMultibase"},
	} {
		for i, e := range many(actor[p.list]) {
			m, ok := e.(map[string]any)
			if i == 10 {
				break
			}
			if !ok || idOf(m) != id || idOf(m[p.owner]) != "" && idOf(m[p.owner]) != actor.id() {
				continue
			}
			text, _ := m[p.text].(string)
			key, err := parseKeyText(p.text, text)
			if err != nil {
				return PublicKey{}, fmt.Errorf("%w: %w", ErrSignature, err)
			}
			return PublicKey{ID: id, Owner: owner, Key: key}, nil
		}
	}
	return PublicKey{}, fmt.Errorf("%w: the actor does not list the key", ErrSignature)
}

func parseKeyText(kind, text string) (crypto.PublicKey, error) {
	if kind == "publicKeyMultibase" {
		return parseMultikey(text)
	}
	return parsePublicPEM(text)
}
