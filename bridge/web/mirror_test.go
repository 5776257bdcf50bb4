package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"

	"footbridge/activitypub"
	"footbridge/atproto/pds"
	"footbridge/bridge"
	"footbridge/identity"
	"footbridge/identity/consent"
)

// onlyReads is the store as a dry run may use it.
type onlyReads struct {
	bridge.Store
	t *testing.T
}

func (s onlyReads) Update(context.Context, func(bridge.Tx) error) error {
	s.t.Error("something is written")
	return errors.New("no")
}

// nobody fails on everything that leaves the machine, but for fetching what is listed.
type nobody struct {
	t       *testing.T
	docs    map[string]string
	fetched []string
}

func (n *nobody) Deliver(context.Context, consent.Permit, activitypub.Delivery) error {
	n.t.Error("something is sent")
	return errors.New("no")
}

func (n *nobody) Object(_ context.Context, id string) (json.RawMessage, error) {
	n.fetched = append(n.fetched, id)
	if doc, ok := n.docs[id]; ok {
		return json.RawMessage(doc), nil
	}
	return nil, errors.New("not there")
}

func (n *nobody) WebFinger(context.Context, string) (identity.ActorID, error) {
	n.t.Error("somebody is looked up")
	return "", errors.New("no")
}

func (n *nobody) Publish(context.Context, consent.Tx, identity.Subject, consent.Scope) (consent.Permit, error) {
	n.t.Error("a permit is asked for")
	return consent.Permit{}, errors.New("no")
}

func (n *nobody) Service(context.Context, consent.Tx, identity.Subject, string) (consent.Permit, error) {
	return n.Publish(context.Background(), nil, "", "")
}

func (n *nobody) Erase(context.Context, consent.Tx, identity.Subject) (consent.Permit, error) {
	return n.Publish(context.Background(), nil, "", "")
}

// mirror is a rig whose bridge can only read; alice is signed in, and has a bridge account.
func mirror(t *testing.T) (*rig, *nobody) {
	t.Helper()
	r, n := newRig(t), &nobody{t: t, docs: map[string]string{}}
	keys, err := identity.NewKeyring(bytes.Repeat([]byte{3}, 32))
	r.ok(err)
	b, err := bridge.New(bridge.Deps{Store: onlyReads{r.store, t}, Gate: n, Desk: r.desk, Keys: keys, Host: &pds.Host{}, Fetcher: n, Sender: n,
		Settings: bridge.Settings{Domain: "bridge.example", BaseURL: "https://bridge.example", Zone: "ap.bridge.example"}})
	r.ok(err)
	r.flows.Bridge = b
	r.put(&identity.Account{Native: identity.ActivityPub, Actor: identity.ActorID(r.alice()), Acct: "alice@home.example", Status: identity.CopyNone, Incarnation: 1})
	r.signIn("alice")
	return r, n
}

func (r *rig) put(acc *identity.Account) {
	r.Helper()
	r.ok(r.store.Update(context.Background(), func(tx bridge.Tx) error { return tx.PutAccount(acc) }))
}

// bellaDID is whom fakeAT knows.
const bellaDID = "did:plc:bellabellabellabellabella"

func (r *rig) try(as, text string) answer {
	r.Helper()
	return r.post("/me/try", url.Values{"token": {r.token()}, "as": {as}, "pasted": {text}})
}

func TestADryRunShowsWhatWouldBecomeOfAPost(t *testing.T) {
	r, n := mirror(t)
	if a := r.get("/me/try"); a.status != 200 || !strings.Contains(a.body, "<textarea") || strings.Contains(a.body, "<script") {
		t.Fatalf("%d\n%s", a.status, a.body)
	}
	long := strings.Repeat("many words ", 60)
	cases := map[string]struct {
		as, text string
		want     []string
		not      []string
	}{
		"text":     {"text", "Hello #fedi https://x.example/page", []string{"Hello ", `href="https://bsky.app/hashtag/fedi"`, `href="https://x.example/page"`, "share nothing now"}, nil},
		"script":   {"text", `<script>alert("1")</script> & <b>`, []string{`&lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt; &amp; &lt;b&gt;</p>`}, []string{"<script", "<b>"}},
		"escaped":  {"html", `<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>`, []string{`dir="auto">&lt;script&gt;alert(1)&lt;/script&gt;</p>`}, []string{"<script"}},
		"address":  {"html", `<p><a href="javascript:alert(1)">tap</a></p>`, []string{"tap", "a browser should not open"}, []string{`href="javascript`}},
		"mention":  {"html", `<p><span class="h-card"><a href="https://remote.example/@zed" class="u-url mention">@<span>zed</span></a></span> hi</p>`, []string{"@zed", "who did not join"}, []string{`href="https://remote.example`}},
		"long":     {"text", long, []string{"cut at a word"}, nil},
		"private":  {"json", `{"type":"Note","content":"<p>psst</p>","to":["` + string(r.alice()) + `/followers"]}`, []string{"followers only stays home"}, nil},
		"stranger": {"json", `{"type":"Note","id":"https://b.example/1","attributedTo":"https://b.example/u","content":"x","to":["https://www.w3.org/ns/activitystreams#Public"]}`, []string{"its author has not joined"}, nil},
		"picture": {"json", `{"type":"Note","content":"<p>look</p>","sensitive":true,"summary":"food","to":["https://www.w3.org/ns/activitystreams#Public"],
			"contentMap":{"nl":"<p>look</p>"},"attachment":[{"type":"Document","mediaType":"image/png","url":"https://m.example/1.png","name":"a <cat>"}]}`,
			[]string{"look", "Picture: <bdi>a &lt;cat&gt;</bdi>", "Languages: <bdi>nl</bdi>", "food"}, []string{"<img", "m.example/1.png\""}},
		"bad":   {"json", `{"type":`, []string{"Nothing would be carried", "it lacks what every document"}, nil},
		"empty": {"text", "  ", []string{"nothing would be left to show"}, nil},
	}
	for name, c := range cases {
		a := r.try(c.as, c.text)
		if a.status != 200 {
			t.Errorf("%s: %d\n%s", name, a.status, a.body)
		}
		_, result, _ := strings.Cut(a.body, "</form>")
		for _, want := range c.want {
			if !strings.Contains(result, want) {
				t.Errorf("%s lacks %q in\n%s", name, want, result)
			}
		}
		for _, not := range c.not {
			if strings.Contains(a.body, not) {
				t.Errorf("%s holds %q in\n%s", name, not, a.body)
			}
		}
	}
	if len(n.fetched) > 0 {
		t.Errorf("a dry run fetched %v", n.fetched)
	}
	if a := r.post("/me/try", url.Values{"pasted": {"x"}}); a.status != 403 {
		t.Errorf("without a token: %d", a.status)
	}
}

func TestADryRunHonoursTheAuthorsChoices(t *testing.T) {
	r, _ := mirror(t)
	r.agree(func(f url.Values) { f["scope"] = []string{"profile", "likes"}; f.Set("long_mode", "thread") })
	a := r.try("text", strings.Repeat("many words ", 60))
	if n := strings.Count(a.body, `class="typed"`); n != 3 || !strings.Contains(a.body, "You have not agreed to share this") || strings.Contains(a.body, "share nothing now") {
		t.Errorf("%d parts in\n%s", n, a.body)
	}
}

func TestADryRunForTheOtherNetwork(t *testing.T) {
	r, _ := mirror(t)
	r.signInBluesky()
	a := r.get("/me/try")
	if a.status != 200 || strings.Contains(a.body, `value="html"`) {
		t.Fatalf("%d\n%s", a.status, a.body)
	}
	a = r.try("text", "<script>1</script> #tag https://x.example/p")
	for _, want := range []string{`&lt;script&gt;1&lt;/script&gt;`, `href="https://x.example/p"`, "#tag"} {
		if _, result, _ := strings.Cut(a.body, "</form>"); !strings.Contains(result, want) {
			t.Errorf("no %q in\n%s", want, result)
		}
	}
	a = r.try("json", `{"$type":"app.bsky.feed.post","text":"look","createdAt":"2026-03-01T00:00:00Z","langs":["nl"],"labels":{"$type":"com.atproto.label.defs#selfLabels","values":[{"val":"nudity"}]},
		"embed":{"$type":"app.bsky.embed.images","images":[{"alt":"a cat","image":{"$type":"blob","ref":{"$link":"bafkreihlavqjqh3e2k5r5q5jjluvhp7ifuufhnddgonqxnmcgj2pyklg4i"},"mimeType":"image/png","size":3}}]}}`)
	for _, want := range []string{"look", "Picture: <bdi>a cat</bdi>", "Languages: <bdi>nl</bdi>", "sensitive"} {
		if !strings.Contains(a.body, want) {
			t.Errorf("no %q in\n%s", want, a.body)
		}
	}
	if a = r.try("json", `{"$type":"app.bsky.feed.generator"}`); !strings.Contains(a.body, "nothing like it") {
		t.Errorf("a feed:\n%s", a.body)
	}
}

// signInBluesky signs in whom fakeAT knows.
func (r *rig) signInBluesky() {
	r.Helper()
	r.client = r.browser()
	r.put(&identity.Account{Native: identity.ATProto, DID: bellaDID, Handle: "bella.example", Actor: "https://bridge.example/ap/" + bellaDID, Status: identity.CopyActive, Incarnation: 1})
	r.post("/signin/bluesky", url.Values{"account": {"bella.example"}})
	if a := r.get("/signin/bluesky/return?code=good&state=at-state-bella.example"); a.status != 200 {
		r.Fatalf("%d\n%s", a.status, a.body)
	}
}

func TestOnesOwnPostBesideItsCopyAndNobodyElses(t *testing.T) {
	r, n := mirror(t)
	own, bellas := string(r.alice())+"/1", "https://bridge.example/at/"+bellaDID+"/app.bsky.feed.post/3kaaaaaaaaaa2"
	n.docs[own] = `{"id":"` + own + `","type":"Note","attributedTo":"` + string(r.alice()) + `","content":"<p>my <a href=\"https://x.example/\">page</a> &lt;script&gt;</p><script>x</script>"}`
	r.ok(r.store.Update(context.Background(), func(tx bridge.Tx) error {
		return errors.Join(
			tx.PutObject(bridge.Object{APID: own, URI: "at://did:plc:copycopycopycopycopycopy/app.bsky.feed.post/3kaaaaaaaaaa2", Native: identity.ActivityPub, Subject: r.alice(), Kind: "post"}),
			tx.PutOutcome(bridge.Outcome{Subject: r.alice(), Source: own, Kind: "Create", Direction: "ap>at", Result: "bridged", Reason: "table_layout,focal_point"}),
			tx.PutObject(bridge.Object{APID: bellas, URI: "at://" + bellaDID + "/app.bsky.feed.post/3kaaaaaaaaaa2", Native: identity.ATProto, Subject: bellaDID, Kind: "post",
				Body: []byte(`{"type":"Note","content":"<p>bella's words</p>"}`)}))
	}))
	if a := r.get("/me/post"); !strings.Contains(a.body, url.QueryEscape(own)) || strings.Contains(a.body, bellaDID) || len(n.fetched) > 0 {
		t.Errorf("the list (fetched %v):\n%s", n.fetched, a.body)
	}
	a := r.get("/me/post?id=" + url.QueryEscape(own))
	for _, want := range []string{`my <a href="https://x.example/" rel="nofollow noreferrer">page</a> &lt;script&gt;</p>`, "cells divided by bars", "picture is cropped"} {
		if a.status != 200 || !strings.Contains(a.body, want) {
			t.Errorf("%d, no %q in\n%s", a.status, want, a.body)
		}
	}
	if strings.Contains(a.body, "<script") || len(n.fetched) != 1 {
		t.Errorf("fetched %v", n.fetched)
	}
	n.docs[own] = strings.Replace(n.docs[own], string(r.alice())+`","content`, `https://evil.example/u","content`, 1)
	if a := r.get("/me/post?id=" + url.QueryEscape(own)); strings.Contains(a.body, "my <a") || !strings.Contains(a.body, "could not fetch your post") {
		t.Errorf("what is not hers any more:\n%s", a.body)
	}
	fetched := len(n.fetched)
	for _, id := range []string{bellas, "at://" + bellaDID + "/app.bsky.feed.post/3kaaaaaaaaaa2", "https://nowhere.example/1", "x", "\x00", strings.Repeat("a", 5000)} {
		if a := r.get("/me/post?id=" + url.QueryEscape(id)); a.status != 404 || strings.Contains(a.body, "bella") {
			t.Errorf("%.60q: %d\n%s", id, a.status, a.body)
		}
	}
	if len(n.fetched) != fetched {
		t.Errorf("somebody else's post was fetched: %v", n.fetched[fetched:])
	}
	r.signInBluesky()
	if a := r.get("/me/post?id=" + url.QueryEscape(bellas)); a.status != 200 || !strings.Contains(a.body, "bella&#39;s words") {
		t.Errorf("bella's own: %d\n%s", a.status, a.body)
	}
	r.client = r.browser()
	if a := r.get("/me/post?id=" + url.QueryEscape(own)); strings.Contains(a.body, "x.example") {
		t.Errorf("without signing in:\n%s", a.body)
	}
}

func TestThePagesOfADryRunAreWholeInEveryLanguage(t *testing.T) {
	r, _ := mirror(t)
	for _, lang := range r.desk.Texts().Langs() {
		for _, path := range []string{"/me/try", "/me/post"} {
			if a := r.get(path + "?lang=" + lang); a.status != 200 || strings.Contains(a.body, "<p></p>") || strings.Contains(a.body, "<h1></h1>") {
				t.Errorf("%s in %s: %d\n%s", path, lang, a.status, a.body)
			}
		}
	}
}
