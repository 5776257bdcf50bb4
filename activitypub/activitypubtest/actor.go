package activitypubtest

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mr-tron/base58"
)

// ActorOptions describe an actor.
type ActorOptions struct {
	Name string
	// Display is the name shown, Summary the biography (HTML).
	Display, Summary string
	// Type is Person if empty.
	Type string
	// Locked approves followers by hand.
	Locked bool
	// Icon is the URL of an avatar.
	Icon string
	// Fields are rows of the profile, name and HTML value.
	Fields [][2]string
	// AlsoKnownAs are aliases.
	AlsoKnownAs []string
	// Extra is merged into the document last.
	Extra map[string]any
}

// Actor is somebody on a fake server.
type Actor struct {
	// ID is the actor id; Acct is name@host.
	ID, Acct string
	s        *Server
	o        ActorOptions
	rsa      *rsa.PrivateKey
	ed       ed25519.PrivateKey
	created  time.Time

	mu        sync.Mutex
	followers map[string]string // actor id to inbox
	pending   map[string]map[string]any
	following map[string]bool
	asked     map[string]string // followed actor to Follow id
	sent      map[string]map[string]any
	outbox    []map[string]any
	featured  []string
	movedTo   string
}

// NewActor makes an actor with fresh keys.
func (s *Server) NewActor(o ActorOptions) (*Actor, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	if o.Type == "" {
		o.Type = "Person"
	}
	a := &Actor{s: s, o: o, rsa: key, ed: ed, created: s.o.Now().AddDate(-1, 0, 0), ID: s.origin + fmt.Sprintf(s.rules.actorPath, o.Name),
		Acct: o.Name + "@" + s.Host(), followers: map[string]string{}, pending: map[string]map[string]any{}, following: map[string]bool{},
		asked: map[string]string{}, sent: map[string]map[string]any{}}
	if o.Type == "Group" && s.o.Dialect == Lemmy {
		a.ID = s.origin + "/c/" + o.Name
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.actors[a.ID] = a
	return a, nil
}

// Actor finds or makes an actor by name, with ordinary properties.
func (s *Server) Actor(name string) (*Actor, error) {
	if a := s.byName(name); a != nil {
		return a, nil
	}
	return s.NewActor(ActorOptions{Name: name, Display: strings.ToUpper(name[:1]) + name[1:], Summary: "<p>" + name + " on " + s.Host() + "</p>"})
}

func (s *Server) byName(name string) *Actor {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.actors {
		if strings.EqualFold(a.o.Name, name) {
			return a
		}
	}
	return nil
}

func (s *Server) byID(id string) *Actor {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.actors[id]
}

func (s *Server) instance() *Actor { return s.byName("instance.actor") }

// KeyID is the id of the actor's RSA key.
func (a *Actor) KeyID() string { return a.ID + a.s.rules.keySuffix }

func (a *Actor) publicPEM() string {
	der, err := x509.MarshalPKIXPublicKey(&a.rsa.PublicKey)
	if err != nil {
		return ""
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// RotateKey gives the actor a new RSA key.
func (a *Actor) RotateKey() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return fmt.Errorf("making a key: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rsa = key
	return nil
}

// Followers are the ids of accepted followers; Following those that accepted us.
func (a *Actor) Followers() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Sorted(maps.Keys(a.followers))
}

// Following lists whom the actor follows with their consent.
func (a *Actor) Following() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Sorted(maps.Keys(a.following))
}

// Pending lists who waits for an answer to a Follow.
func (a *Actor) Pending() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Sorted(maps.Keys(a.pending))
}

// Document is the actor document.
func (a *Actor) Document() map[string]any {
	a.mu.Lock()
	defer a.mu.Unlock()
	d := map[string]any{
		"@context": []any{asNS, "https://w3id.org/security/v1", map[string]any{
			"manuallyApprovesFollowers": "as:manuallyApprovesFollowers", "toot": "http://joinmastodon.org/ns#",
			"discoverable": "toot:discoverable", "featured": map[string]any{"@id": "toot:featured", "@type": "@id"}}},
		"id": a.ID, "type": a.o.Type, "preferredUsername": a.o.Name, "name": a.o.Display, "summary": a.o.Summary,
		"inbox": a.ID + "/inbox", "outbox": a.ID + "/outbox", "followers": a.ID + "/followers", "following": a.ID + "/following",
		"featured": a.ID + "/collections/featured", "url": a.s.origin + "/@" + a.o.Name, "published": a.created.UTC().Format(time.RFC3339),
		"manuallyApprovesFollowers": a.o.Locked, "discoverable": true, "indexable": true, "tag": []any{}, "attachment": a.fields(),
		"publicKey": map[string]any{"id": a.KeyID(), "owner": a.ID, "publicKeyPem": a.publicPEM()},
	}
	if !a.s.rules.noShared {
		d["endpoints"] = map[string]any{"sharedInbox": a.s.origin + "/inbox"}
	}
	if len(a.o.AlsoKnownAs) > 0 {
		d["alsoKnownAs"] = a.o.AlsoKnownAs
	}
	if a.movedTo != "" {
		d["movedTo"] = a.movedTo
	}
	if a.o.Icon != "" {
		d["icon"] = map[string]any{"type": "Image", "mediaType": "image/png", "url": a.o.Icon}
	}
	a.dialectal(d)
	maps.Copy(d, a.o.Extra)
	return d
}

func (a *Actor) fields() []any {
	out := []any{}
	for _, f := range a.o.Fields {
		out = append(out, map[string]any{"type": "PropertyValue", "name": f[0], "value": f[1]})
	}
	return out
}

func (a *Actor) dialectal(d map[string]any) {
	switch a.s.o.Dialect {
	case GoToSocial:
		delete(d, "endpoints")
		d["endpoints"] = map[string]any{"sharedInbox": a.s.origin + "/inbox"}
		scalars(d, "tag", "attachment")
	case Misskey:
		d["sharedInbox"], d["_misskey_summary"], d["isCat"] = a.s.origin+"/inbox", a.o.Summary, true
	case Pleroma:
		d["capabilities"] = map[string]any{"acceptsChatMessages": true}
	case Fedify:
		d["assertionMethod"] = []any{map[string]any{"id": a.ID + "#multikey-1", "type": "Multikey", "controller": a.ID,
			"publicKeyMultibase": "z" + base58.Encode(append([]byte{0xed, 0x01}, a.ed.Public().(ed25519.PublicKey)...))}}
	}
}
