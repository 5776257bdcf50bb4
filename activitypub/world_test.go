package activitypub

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"footbridge/identity"
)

// world is an internet in memory: documents by URL, a bridge at bridge.test, and a clock.
type world struct {
	t      testing.TB
	mu     sync.Mutex
	docs   map[string]answer
	asked  []string
	posted []*http.Request
	clock  time.Time
	pairs  map[identity.ActorID]KeyPair

	client   *Client
	verifier *Verifier
	server   *Server
	router   *echo.Echo
	accepted []Inbound
	blocked  map[string]bool
	local    map[string]*LocalActor
	objects  map[string]json.RawMessage
	gone     map[string]bool
	owners   map[string]identity.ActorID
	failure  error
	store    Store
}

type answer struct {
	status   int
	mime     string
	body     string
	location string
}

const (
	bridgeBase = "https://bridge.test"
	instanceID = identity.ActorID(bridgeBase + "/actor")
	copyID     = identity.ActorID(bridgeBase + "/ap/did:plc:carol")
	aliceID    = identity.ActorID("https://remote.test/users/alice")
	malloryID  = identity.ActorID("https://remote.test/users/mallory")
	eveID      = identity.ActorID("https://evil.test/users/eve")
)

// testKeys are made once: RSA keys are slow to find.
var testKeys = sync.OnceValue(func() []KeyPair {
	out := make([]KeyPair, 5)
	for i := range out {
		k, err := NewKeyPair()
		if err != nil {
			panic(err)
		}
		out[i] = k
	}
	return out
})

func newWorld(t testing.TB, options ...func(*world, *ServerOptions)) *world {
	t.Helper()
	w := &world{t: t, docs: map[string]answer{}, clock: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC), pairs: map[identity.ActorID]KeyPair{},
		blocked: map[string]bool{}, objects: map[string]json.RawMessage{}, gone: map[string]bool{}, owners: map[string]identity.ActorID{}}
	for i, id := range []identity.ActorID{instanceID, copyID, aliceID, malloryID, eveID} {
		w.pairs[id] = testKeys()[i]
	}
	w.local = map[string]*LocalActor{
		string(instanceID): {ID: instanceID, Username: "bridge.test", Presence: Present, Document: map[string]any{"type": "Application"}},
		string(copyID):     {ID: copyID, Username: "carol.example.com", Presence: Present, Page: "https://bsky.app/profile/carol.example.com"},
	}
	for _, id := range []identity.ActorID{aliceID, malloryID, eveID} {
		w.serve(string(id), w.actor(id))
	}
	o := ServerOptions{Base: bridgeBase, Instance: instanceID, Directory: w, Keys: w, Software: Software{Name: "footbridge", Version: "0.1"}, Now: w.now,
		Authority: Authority{Owner: func(_ context.Context, id string) (identity.ActorID, bool) { o, ok := w.owners[id]; return o, ok }},
		Inbox: func(_ context.Context, in Inbound) error {
			if w.failure == nil {
				w.accepted = append(w.accepted, in)
			}
			return w.failure
		}}
	w.client = NewClient(ClientOptions{HTTP: &http.Client{Transport: w}, Keys: w, Instance: instanceID, Now: w.now})
	w.verifier = NewVerifier(bridgeBase, NewKeyRing(NewActors(w.client, w.store)), w.now)
	o.Client, o.Verifier = w.client, w.verifier
	for _, f := range options {
		f(w, &o)
	}
	var err error
	if w.server, err = NewServer(o); err != nil {
		t.Fatal(err)
	}
	w.router = echo.New()
	w.server.Register(w.router)
	return w
}

func (w *world) now() time.Time { return w.clock }

func (w *world) SigningKey(_ context.Context, id identity.ActorID) (KeyPair, error) {
	return w.pairs[id], nil
}

func (w *world) ByID(_ context.Context, id identity.ActorID) (*LocalActor, error) {
	return w.local[string(id)], nil
}

func (w *world) ByName(_ context.Context, name string) (*LocalActor, error) {
	for _, a := range w.local {
		if strings.EqualFold(a.Username, name) {
			return a, nil
		}
	}
	return nil, nil
}

func (w *world) Object(_ context.Context, id string) (json.RawMessage, identity.ActorID, Presence, error) {
	if w.gone[id] {
		return nil, copyID, Gone, nil
	}
	if raw, ok := w.objects[id]; ok {
		return raw, copyID, Present, nil
	}
	return nil, "", Absent, nil
}

func (w *world) Collection(_ context.Context, _ identity.ActorID, _, cursor string, limit int) ([]any, string, int, error) {
	if cursor == "" {
		return []any{"https://bridge.test/at/1"}[:min(1, limit)], "more", 2, nil
	}
	return []any{"https://bridge.test/at/2"}, "", 2, nil
}

func (w *world) BlockedHost(_ context.Context, host string) bool { return w.blocked[host] }

func (w *world) Stats(context.Context) (int, int, error) { return 1, 2, nil }

func (w *world) serve(url string, doc any) {
	b, ok := doc.(string)
	if !ok {
		j, _ := json.Marshal(doc)
		b = string(j)
	}
	w.docs[url] = answer{status: 200, mime: activityJSON, body: b}
}

// actor is an ordinary remote actor with both keys.
func (w *world) actor(id identity.ActorID) map[string]any {
	k := w.pairs[id]
	text, _ := PublicPEM(k.RSA.Public())
	return map[string]any{"@context": []any{asNamespace, securityV1}, "id": string(id), "type": "Person", "inbox": string(id) + "/inbox",
		"preferredUsername": "someone", "publicKey": map[string]any{"id": MainKeyID(id), "owner": string(id), "publicKeyPem": text},
		"assertionMethod": []any{map[string]any{"id": ProofKeyID(id), "type": "Multikey", "controller": string(id), "publicKeyMultibase": Multikey(edPublic(k))}}}
}

// RoundTrip is the network.
func (w *world) RoundTrip(req *http.Request) (*http.Response, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if req.Method == http.MethodPost {
		w.posted = append(w.posted, req)
	} else {
		w.asked = append(w.asked, req.URL.String())
	}
	a, ok := w.docs[req.URL.String()]
	if !ok {
		a = answer{status: 404}
	}
	h := http.Header{}
	h.Set("Content-Type", a.mime)
	if a.location != "" {
		h.Set("Location", a.location)
	}
	return &http.Response{StatusCode: a.status, Header: h, Body: io.NopCloser(strings.NewReader(a.body)), Request: req, ContentLength: int64(len(a.body))}, nil
}

// post builds a signed POST to a path of the bridge, and request makes it what a server receives.
func (w *world) post(path string, doc any, from identity.ActorID, s Scheme) *http.Request {
	w.t.Helper()
	body, ok := doc.([]byte)
	if !ok {
		body, _ = json.Marshal(doc)
	}
	req, err := http.NewRequest(http.MethodPost, bridgeBase+path, bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", activityJSON)
	if err := sign(req, body, from, w.pairs[from], s, w.clock); err != nil {
		w.t.Fatal(err)
	}
	return w.request(req, body)
}

func (w *world) request(req *http.Request, body []byte) *http.Request {
	r := httptest.NewRequest(req.Method, req.URL.RequestURI(), bytes.NewReader(body))
	r.Header, r.Host = req.Header.Clone(), req.URL.Host
	return r
}

func (w *world) do(r *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	w.router.ServeHTTP(rec, r)
	return rec
}

func (w *world) get(path, accept string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Host = "bridge.test"
	r.Header.Set("Accept", accept)
	return w.do(r)
}

func note(by identity.ActorID) map[string]any {
	return map[string]any{"@context": asNamespace, "id": string(by) + "/notes/1/activity", "type": "Create", "actor": string(by),
		"to": []any{asNamespace + "#Public"}, "cc": []any{}, "object": map[string]any{
			"id": string(by) + "/notes/1", "type": "Note", "attributedTo": string(by), "content": "<p>hi</p>", "to": []any{asNamespace + "#Public"}, "cc": []any{}}}
}

func TestEverySchemeIsAccepted(t *testing.T) {
	for _, s := range []Scheme{SchemeCavage, SchemeRFC9421, SchemeEd25519} {
		w := newWorld(t)
		rec := w.do(w.post("/inbox", note(aliceID), aliceID, s))
		if rec.Code != http.StatusAccepted || len(w.accepted) != 1 {
			t.Fatalf("%s: status %d, %d accepted", s, rec.Code, len(w.accepted))
		}
		if in := w.accepted[0]; in.Actor != aliceID || in.Type != "Create" || in.ID != string(aliceID)+"/notes/1/activity" {
			t.Errorf("%s: accepted %+v", s, in)
		}
		if len(w.asked) != 1 || w.asked[0] != string(aliceID) {
			t.Errorf("%s: fetched %v, want the actor once", s, w.asked)
		}
	}
}
