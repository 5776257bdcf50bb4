package activitypub

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"footbridge/activitypub/activitypubtest"
	"footbridge/identity"
)

// house is a bridge on a real socket of loopback.
type house struct {
	*world
	base   string
	copy   identity.ActorID
	inbox  chan Inbound
	client *Client
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{inbox: make(chan Inbound, 100)}
	router := echo.New()
	srv := httptest.NewServer(router)
	t.Cleanup(srv.Close)
	h.base = strings.Replace(srv.URL, "127.0.0.1", "localhost", 1)
	h.copy = identity.ActorID(h.base + "/ap/did:plc:carol")
	instance := identity.ActorID(h.base + "/actor")
	h.world = &world{t: t, pairs: map[identity.ActorID]KeyPair{instance: testKeys()[0], h.copy: testKeys()[1]}, blocked: map[string]bool{},
		objects: map[string]json.RawMessage{}, gone: map[string]bool{}, owners: map[string]identity.ActorID{}}
	h.local = map[string]*LocalActor{
		string(instance): {ID: instance, Username: "bridge", Presence: Present, Document: map[string]any{"type": "Application"}},
		string(h.copy):   {ID: h.copy, Username: "carol.example.com", Presence: Present},
	}
	h.client = NewClient(ClientOptions{HTTP: srv.Client(), Keys: h, Instance: instance, Now: time.Now})
	o := ServerOptions{Base: h.base, Instance: instance, Directory: h, Keys: h, Software: Software{Name: "footbridge", Version: "0.1"}, Now: time.Now, Client: h.client,
		Verifier: NewVerifier(h.base, NewKeyRing(NewActors(h.client, nil)), time.Now),
		Inbox:    func(_ context.Context, in Inbound) error { h.inbox <- in; return nil }}
	s, err := NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Register(router)
	return h
}

func (h *house) next(t *testing.T, typ string) Inbound {
	t.Helper()
	select {
	case in := <-h.inbox:
		if in.Type != typ {
			t.Fatalf("got %s, want %s", in.Type, typ)
		}
		return in
	default:
		t.Fatalf("no %s arrived", typ)
		return Inbound{}
	}
}

// TestDialects sends the common activities from each kind of server, and delivers to it.
func TestDialects(t *testing.T) {
	for _, d := range activitypubtest.Dialects() {
		t.Run(string(d), func(t *testing.T) { exchange(t, d) })
	}
}

func exchange(t *testing.T, d activitypubtest.Dialect) {
	ctx := context.Background()
	h := newHouse(t)
	peer := activitypubtest.New(activitypubtest.Options{Dialect: d})
	if err := peer.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = peer.Close() }()
	alice, err := peer.Actor("alice")
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(second(alice.Follow(ctx, string(h.copy))))
	in := h.next(t, "Follow")
	if in.Actor != identity.ActorID(alice.ID) || in.Recipient != h.copy {
		t.Errorf("Follow from %s to %q", in.Actor, in.Recipient)
	}
	accept, _ := json.Marshal(map[string]any{"@context": asNamespace, "id": string(h.copy) + "/accept/1", "type": "Accept", "actor": string(h.copy),
		"to": []any{alice.ID}, "object": json.RawMessage(in.Raw)})
	must(h.client.post(ctx, Delivery{Inbox: alice.ID + "/inbox", From: h.copy, Body: accept}))
	if got := alice.Following(); len(got) != 1 || got[0] != string(h.copy) {
		t.Errorf("following %v", got)
	}
	for _, r := range peer.Inbox() {
		if len(r.Violations) > 0 {
			t.Errorf("%s breaks rules: %v", r.Type, r.Violations)
		}
	}
	p, err := alice.Post(ctx, activitypubtest.Note{Content: "<p>hello</p>", Tags: []string{"x"}, Mentions: []string{string(h.copy)}})
	must(err)
	if in := h.next(t, "Create"); in.ID != p.Activity {
		t.Errorf("Create %s", in.ID)
	}
	if raw, err := h.client.Object(ctx, p.ID); err != nil || !strings.Contains(string(raw), "hello") {
		t.Errorf("fetching the note: %v", err)
	}
	must(alice.Edit(ctx, p.ID, "<p>edited</p>", h.base+"/inbox"))
	h.next(t, "Update")
	must(alice.Delete(ctx, p.ID, h.base+"/inbox"))
	h.next(t, "Delete")
	must(second(alice.Block(ctx, string(h.copy))))
	h.next(t, "Block")
	must(alice.DeleteAccount(ctx, h.base+"/inbox"))
	if in := h.next(t, "Delete"); in.Actor != identity.ActorID(alice.ID) {
		t.Errorf("Delete of the account by %s", in.Actor)
	}
	if id, err := h.client.WebFinger(ctx, alice.Acct); err != nil || string(id) != alice.ID {
		t.Errorf("WebFinger: %q, %v", id, err)
	}
}

func second(_ string, err error) error { return err }

// TestActorPassesTheRules runs what other software demands of actors over our own document.
func TestActorPassesTheRules(t *testing.T) {
	w := newWorld(t)
	rec := w.get("/ap/did:plc:carol", activityJSON)
	if rec.Code != http.StatusOK {
		t.Fatalf("status %d", rec.Code)
	}
	var doc map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	for _, d := range append(activitypubtest.Dialects(), activitypubtest.Pixelfed) {
		if wrong := activitypubtest.Validate(d, doc); len(wrong) > 0 {
			t.Errorf("%v", wrong)
		}
	}
}
