package activitypub

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"footbridge/identity"
	"footbridge/identity/consent"
)

// TestFetchRules: a document counts only where its id says it is.
func TestFetchRules(t *testing.T) {
	doc := func(id string) answer {
		b, _ := json.Marshal(map[string]any{"id": id, "type": "Note"})
		return answer{status: 200, mime: activityJSON, body: string(b)}
	}
	for _, c := range []struct {
		name    string
		docs    map[string]answer
		ask     string
		want    error
		gives   string
		fetches int
	}{
		{"as asked", map[string]answer{"https://a.test/1": doc("https://a.test/1")}, "https://a.test/1", nil, "https://a.test/1", 1},
		{"with fragment", map[string]answer{"https://a.test/1": doc("https://a.test/1")}, "https://a.test/1#x", nil, "https://a.test/1", 1},
		{"page URL, then the id", map[string]answer{"https://a.test/@x/1": doc("https://a.test/1"), "https://a.test/1": doc("https://a.test/1")}, "https://a.test/@x/1", nil, "https://a.test/1", 2},
		{"id of another host", map[string]answer{"https://a.test/1": doc("https://b.test/1"), "https://b.test/1": doc("https://b.test/1")}, "https://a.test/1", ErrDocument, "", 1},
		{"id that says another id", map[string]answer{"https://a.test/1": doc("https://a.test/2"), "https://a.test/2": doc("https://a.test/3")}, "https://a.test/1", ErrDocument, "", 2},
		{"no id", map[string]answer{"https://a.test/1": doc("")}, "https://a.test/1", ErrDocument, "", 1},
		{"upload served as an image", map[string]answer{"https://a.test/1": {status: 200, mime: "image/png", body: `{"id":"https://a.test/1"}`}}, "https://a.test/1", ErrDocument, "", 1},
		{"plain JSON", map[string]answer{"https://a.test/1": {status: 200, mime: "application/json", body: `{"id":"https://a.test/1"}`}}, "https://a.test/1", ErrDocument, "", 1},
		{"ld+json without profile", map[string]answer{"https://a.test/1": {status: 200, mime: "application/ld+json", body: `{"id":"https://a.test/1"}`}}, "https://a.test/1", ErrDocument, "", 1},
		{"redirect", map[string]answer{"https://a.test/1": {status: 301, location: "/2"}, "https://a.test/2": doc("https://a.test/2")}, "https://a.test/1", nil, "https://a.test/2", 3},
		{"redirect to another host", map[string]answer{"https://a.test/1": {status: 302, location: "https://b.test/1"}, "https://b.test/1": doc("https://a.test/1")}, "https://a.test/1", ErrDocument, "", 2},
		{"redirect to http", map[string]answer{"https://a.test/1": {status: 302, location: "http://a.test/1"}}, "https://a.test/1", ErrRefused, "", 1},
		{"redirect loop", map[string]answer{"https://a.test/1": {status: 302, location: "/1"}}, "https://a.test/1", ErrRefused, "", 1},
		{"long redirect chain", map[string]answer{"https://a.test/1": {status: 302, location: "/2"}, "https://a.test/2": {status: 302, location: "/3"}, "https://a.test/3": {status: 302, location: "/4"},
			"https://a.test/4": {status: 302, location: "/5"}, "https://a.test/5": doc("https://a.test/5")}, "https://a.test/1", ErrRefused, "", 4},
		{"gone", map[string]answer{"https://a.test/1": {status: 410}}, "https://a.test/1", ErrGone, "", 1},
		{"missing", nil, "https://a.test/1", ErrMissing, "", 1},
		{"broken server", map[string]answer{"https://a.test/1": {status: 500}}, "https://a.test/1", ErrTemporary, "", 1},
		{"not JSON", map[string]answer{"https://a.test/1": {status: 200, mime: activityJSON, body: "<html>"}}, "https://a.test/1", ErrDocument, "", 1},
		{"too large", map[string]answer{"https://a.test/1": {status: 200, mime: activityJSON, body: `{"id":"` + strings.Repeat("x", maxDocument) + `"}`}}, "https://a.test/1", ErrDocument, "", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.docs = c.docs
			raw, err := w.client.Object(t.Context(), c.ask)
			if !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Fatalf("error %v, want %v", err, c.want)
			}
			var got struct{ ID string }
			if c.want == nil && (json.Unmarshal(raw, &got) != nil || got.ID != c.gives) {
				t.Errorf("got %s", raw)
			}
			if len(w.asked) != c.fetches {
				t.Errorf("fetches %v, want %d", w.asked, c.fetches)
			}
		})
	}
}

// picky is a host that likes one scheme.
type picky struct {
	likes func(*http.Request) bool
	no    int
	seen  []string
}

func (p *picky) RoundTrip(r *http.Request) (*http.Response, error) {
	scheme := "cavage"
	if r.Header.Get("Signature-Input") != "" {
		scheme = "rfc9421"
	}
	p.seen = append(p.seen, scheme)
	rec := httptest.NewRecorder()
	if p.likes(r) {
		rec.WriteHeader(202)
	} else {
		rec.WriteHeader(p.no)
	}
	return rec.Result(), nil
}

// TestDoubleKnock: the other scheme is tried once, and what worked is remembered.
func TestDoubleKnock(t *testing.T) {
	rfc := func(r *http.Request) bool { return r.Header.Get("Signature-Input") != "" }
	old := func(r *http.Request) bool { return r.Header.Get("Signature-Input") == "" }
	for _, c := range []struct {
		name  string
		likes func(*http.Request) bool
		no    int
		want  []string
	}{
		{"old host", old, 401, []string{"cavage", "cavage"}},
		{"new host", rfc, 401, []string{"cavage", "rfc9421", "rfc9421"}},
		{"new host that says 400", rfc, 400, []string{"cavage", "rfc9421", "rfc9421"}},
		{"host that likes nothing", func(*http.Request) bool { return false }, 401, []string{"cavage", "rfc9421", "cavage"}},
		{"host that is down", func(*http.Request) bool { return false }, 503, []string{"cavage", "cavage"}},
		{"host where we are gone", func(*http.Request) bool { return false }, 410, []string{"cavage", "cavage"}},
	} {
		w := newWorld(t)
		p := &picky{likes: c.likes, no: c.no}
		client := NewClient(ClientOptions{HTTP: &http.Client{Transport: p}, Keys: w, Instance: instanceID, Now: w.now})
		for range 2 {
			_ = client.post(t.Context(), Delivery{Inbox: "https://remote.test/inbox", From: copyID, Body: []byte("{}")})
		}
		if strings.Join(p.seen, " ") != strings.Join(c.want, " ") {
			t.Errorf("%s: %v, want %v", c.name, p.seen, c.want)
		}
	}
}

// TestDeliveryErrors pins what the queue acts on.
func TestDeliveryErrors(t *testing.T) {
	w := newWorld(t)
	for status, want := range map[int]DeliveryError{
		400: {Status: 400, Permanent: true}, 401: {Status: 401}, 403: {Status: 403, Permanent: true}, 404: {Status: 404, Gone: true}, 408: {Status: 408},
		410: {Status: 410, Gone: true}, 413: {Status: 413, Permanent: true}, 429: {Status: 429, RetryAfter: time.Minute}, 500: {Status: 500}, 501: {Status: 501, Permanent: true},
		502: {Status: 502}, 503: {Status: 503, RetryAfter: time.Minute}, 302: {Status: 302, Permanent: true},
	} {
		rec := httptest.NewRecorder()
		rec.Header().Set("Retry-After", "60")
		rec.WriteHeader(status)
		var got *DeliveryError
		if !errors.As(w.client.judge(rec.Result()), &got) {
			t.Errorf("%d: no error", status)
			continue
		}
		if got.Status != want.Status || got.Gone != want.Gone || got.Permanent != want.Permanent || got.RetryAfter != want.RetryAfter {
			t.Errorf("%d: %+v", status, got)
		}
	}
	for text, want := range map[string]time.Duration{"": 0, "5": 5 * time.Second, "-1": 0, "x": 0, "999999999": time.Hour, "Tue, 24 Nov 2026 12:01:00 GMT": time.Minute, "Tue, 24 Nov 2020 12:01:00 GMT": 0} {
		if got := retryAfter(http.Header{"Retry-After": []string{text}}, w.clock); got != want {
			t.Errorf("Retry-After %q: %v, want %v", text, got, want)
		}
	}
}

// TestNoPermitNoPost: without a permit not one byte leaves.
func TestNoPermitNoPost(t *testing.T) {
	w := newWorld(t)
	err := w.client.Deliver(context.Background(), consent.Permit{}, Delivery{Inbox: "https://remote.test/inbox", From: copyID, Body: []byte("{}")})
	if !errors.Is(err, consent.ErrNoPermit) || len(w.posted) > 0 {
		t.Errorf("error %v, %d posts", err, len(w.posted))
	}
}

// TestBlockedHostsAreNotTalkedTo holds for reads and posts.
func TestBlockedHostsAreNotTalkedTo(t *testing.T) {
	w := newWorld(t)
	client := NewClient(ClientOptions{HTTP: &http.Client{Transport: w}, Keys: w, Instance: instanceID, Now: w.now,
		Blocked: func(_ context.Context, host string) bool { return host == "remote.test" }})
	_, err := client.Object(t.Context(), string(aliceID))
	err2 := client.post(t.Context(), Delivery{Inbox: "https://remote.test/inbox", From: copyID, Body: []byte("{}")})
	if !errors.Is(err, ErrRefused) || err2 == nil || len(w.asked)+len(w.posted) > 0 {
		t.Errorf("%v, %v, asked %v", err, err2, w.asked)
	}
}

// TestWebFingerOut: an actor elsewhere must be confirmed by its own host, which also answers host-meta.
func TestWebFingerOut(t *testing.T) {
	finger := func(host, resource string) string {
		return "https://" + host + "/.well-known/webfinger?resource=" + strings.NewReplacer(":", "%3A", "@", "%40", "/", "%2F").Replace(resource)
	}
	says := func(subject, self string) answer {
		b, _ := json.Marshal(jrd{Subject: subject, Links: []jrdLink{{Rel: "self", Type: activityJSON, Href: self}}})
		return answer{status: 200, mime: "application/jrd+json", body: string(b)}
	}
	w := newWorld(t)
	w.docs = map[string]answer{
		finger("plain.test", "acct:a@plain.test"):                  says("acct:a@plain.test", "https://plain.test/a"),
		finger("split.test", "acct:a@split.test"):                  says("acct:a@split.test", "https://social.split.test/a"),
		finger("social.split.test", "https://social.split.test/a"): says("acct:a@split.test", "https://social.split.test/a"),
		finger("liar.test", "acct:a@liar.test"):                    says("acct:a@liar.test", "https://victim.test/v"),
		finger("victim.test", "https://victim.test/v"):             says("acct:v@victim.test", "https://victim.test/v"),
		"https://old.test/.well-known/host-meta": {status: 200, mime: "application/xrd+xml",
			body: `<XRD xmlns="http://docs.oasis-open.org/ns/xri/xrd-1.0"><Link rel="lrdd" template="https://old.test/wf/{uri}"/></XRD>`},
		"https://old.test/wf/acct%3Aa%40old.test": says("acct:a@old.test", "https://old.test/a"),
	}
	for acct, want := range map[string]string{"a@plain.test": "https://plain.test/a", "@a@Plain.Test": "https://plain.test/a", "a@split.test": "https://social.split.test/a",
		"a@liar.test": "", "a@old.test": "https://old.test/a", "a@nowhere.test": "", "a": "", "a@b@c": "", "a@b.test/x": ""} {
		id, err := w.client.WebFinger(t.Context(), acct)
		if want == "" && err == nil || want != "" && string(id) != want {
			t.Errorf("%s: %q, %v; want %q", acct, id, err, want)
		}
	}
}

// TestKeyPair survives its own encoding, and the pool gives different ones.
func TestKeyPair(t *testing.T) {
	text, err := MarshalKeyPair(testKeys()[0])
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseKeyPair(text)
	if err != nil || !edPublic(back).Equal(edPublic(testKeys()[0])) {
		t.Errorf("key pair is lost: %v", err)
	}
	if _, err := ParseKeyPair(text[:len(text)/2]); err == nil {
		t.Error("half a pair is taken")
	}
	ctx, cancel := context.WithCancel(t.Context())
	pool := NewKeyPool(1)
	done := make(chan error)
	go func() { done <- pool.Run(ctx) }()
	a, err1 := pool.Get()
	b, err2 := pool.Get()
	cancel()
	if err := <-done; err != nil || err1 != nil || err2 != nil || edPublic(a).Equal(edPublic(b)) {
		t.Errorf("pool: %v %v %v", err, err1, err2)
	}
}

// TestLearnsFromInbound: a host that signs by RFC 9421 is answered that way, without a knock in vain.
func TestLearnsFromInbound(t *testing.T) {
	for _, s := range schemes {
		w := newWorld(t)
		w.do(good(w, s))
		if got, _ := w.client.o.Hosts.Scheme(t.Context(), "remote.test"); got != s {
			t.Errorf("after an inbound %s: %s", s, got)
		}
	}
}

// counting counts how often keys are read.
type counting struct {
	*world
	n int
}

func (c *counting) SigningKey(ctx context.Context, id identity.ActorID) (KeyPair, error) {
	c.n++
	return c.world.SigningKey(ctx, id)
}

// TestKeysAreReadOnce: a post to many hosts reads its author's key once; a destroyed key is out of use a minute later.
func TestKeysAreReadOnce(t *testing.T) {
	w := newWorld(t)
	keys := &counting{world: w}
	client := NewClient(ClientOptions{HTTP: &http.Client{Transport: w}, Keys: keys, Instance: instanceID, Now: w.now})
	for range 10 {
		_ = client.post(t.Context(), Delivery{Inbox: "https://remote.test/inbox", From: copyID, Body: []byte("{}")})
	}
	if keys.n != 1 {
		t.Errorf("the key was read %d times", keys.n)
	}
	w.clock = w.clock.Add(2 * time.Minute)
	_ = client.post(t.Context(), Delivery{Inbox: "https://remote.test/inbox", From: copyID, Body: []byte("{}")})
	if keys.n != 2 {
		t.Errorf("after two minutes the key was read %d times", keys.n)
	}
}

// TestKeysAreFetchedOnce: a crowd that is signed with one new key causes one fetch.
func TestKeysAreFetchedOnce(t *testing.T) {
	w := newWorld(t)
	ring := NewKeyRing(NewActors(w.client, nil))
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := ring.Key(t.Context(), MainKeyID(aliceID), false); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(w.asked) > 3 { // one, or a few where a fetch ended before others began to look
		t.Errorf("%d fetches", len(w.asked))
	}
}
