package activitypub

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"footbridge/identity"
)

// TestR89_LegalVariants accepts every form in which the servers in use sign, rebuilt with keys of our own.
func TestR89_LegalVariants(t *testing.T) {
	full := `("@method" "@target-uri" "content-digest");created=CREATED;keyid="KEY"`
	key := func(change func(doc map[string]any)) func(*world, Scheme) *http.Request {
		return func(w *world, s Scheme) *http.Request {
			doc := w.actor(aliceID)
			change(doc)
			w.serve(string(aliceID), doc)
			return good(w, s)
		}
	}
	for _, v := range []struct {
		name  string
		build func(*world, Scheme) *http.Request
	}{
		{"mastodon", cav([]string{"(request-target)", "host", "date", "digest", "content-type"}, "rsa-sha256", "", nil)},
		{"mastodon 4.7 second knock", msg(full, nil)},
		{"gotosocial", cav(usual, "hs2019", "", nil)},
		{"misskey", cav([]string{"(request-target)", "date", "host", "digest"}, "rsa-sha256", "", nil)},
		{"pleroma", cav([]string{"(request-target)", "content-length", "date", "digest", "host"}, "rsa-sha256", "", func(r *http.Request) {
			r.Header.Set("Content-Length", fmt.Sprint(len(noteBody())))
		})},
		{"lemmy", cav([]string{"(request-target)", "content-type", "date", "digest", "host"}, "hs2019", "", nil)},
		{"peertube", cav(usual, "", "", nil)},
		{"wordpress", cav([]string{"(request-target)", "host", "date", "digest"}, "rsa-sha256", "", nil)},
		{"hubzilla", cav([]string{"(request-target)", "date", "digest", "host", "content-type"}, "rsa-sha256", "", nil)},
		{"friendica", cav([]string{"(request-target)", "date", "content-length", "digest", "host"}, "rsa-sha256", "", func(r *http.Request) {
			r.Header.Set("Content-Length", fmt.Sprint(len(noteBody())))
		})},
		{"fedify", msg(`("@method" "@target-uri" "@authority" "host" "date" "content-digest");alg="rsa-v1_5-sha256";keyid="KEY";created=CREATED`, func(r *http.Request) {
			r.Header.Set("Date", "Tue, 24 Nov 2026 12:00:00 GMT")
			r.Header.Set("Host", "bridge.test")
		})},
		{"tootik", msg(`("@method" "@target-uri" "content-type" "content-digest");created=CREATED;expires=1899999999;keyid="KEY";alg="rsa-v1_5-sha256"`, nil)},
		{"by parts of the target", msg(`("@method" "@authority" "@path" "content-digest");created=CREATED;keyid="KEY"`, nil)},
		{"our tag and a nonce", msg(full+`;nonce="abc";tag="activitypub"`, nil)},
		{"created and expires", func(w *world, s Scheme) *http.Request {
			return cav(append(drop("date"), "(created)", "(expires)"), "hs2019", fmt.Sprintf("created=%d,expires=%d", w.clock.Unix(), w.clock.Unix()+60), nil)(w, s)
		}},
		{"lower-case digest name", cav(usual, "rsa-sha256", "", func(r *http.Request) {
			r.Header.Set("Digest", strings.Replace(r.Header.Get("Digest"), "SHA", "sha", 1))
		})},
		{"two digests, one unknown", cav(usual, "rsa-sha256", "", func(r *http.Request) {
			r.Header.Set("Digest", "MD5=AAAA,"+r.Header.Get("Digest"))
		})},
		{"eleven hours old", at(-11 * time.Hour)},
		{"half an hour ahead", at(30 * time.Minute)},
		{"Host with its port", alter(func(r *http.Request) {})},
		{"key in a list", key(func(d map[string]any) { d["publicKey"] = []any{d["publicKey"]} })},
		{"key with carriage returns", key(func(d map[string]any) {
			k := d["publicKey"].(map[string]any)
			k["publicKeyPem"] = strings.ReplaceAll(k["publicKeyPem"].(string), "\n", "\r\n")
		})},
		{"key with spaces for lines", key(func(d map[string]any) {
			k := d["publicKey"].(map[string]any)
			k["publicKeyPem"] = strings.ReplaceAll(strings.TrimSpace(k["publicKeyPem"].(string)), "\n", " ")
		})},
		{"key in PKCS #1", key(func(d map[string]any) {
			der := x509.MarshalPKCS1PublicKey(testKeys()[2].RSA.Public().(*rsa.PublicKey))
			d["publicKey"].(map[string]any)["publicKeyPem"] = string(pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: der}))
		})},
		{"key id is the actor's id", func(w *world, s Scheme) *http.Request {
			doc := w.actor(aliceID)
			doc["publicKey"].(map[string]any)["id"] = string(aliceID)
			w.serve(string(aliceID), doc)
			return as(aliceID, fixed(string(aliceID)))(w, SchemeCavage)
		}},
		{"key on a page of its own", func(w *world, s Scheme) *http.Request {
			id := string(aliceID) + "/main-key"
			doc := w.actor(aliceID)
			doc["publicKey"].(map[string]any)["id"] = id
			w.serve(string(aliceID), doc)
			stub := with(doc)
			delete(stub, "inbox")
			w.serve(id, stub)
			return as(aliceID, fixed(id))(w, SchemeCavage)
		}},
		{"key object of its own", func(w *world, s Scheme) *http.Request {
			id := string(aliceID) + "/publickey"
			doc := w.actor(aliceID)
			doc["publicKey"].(map[string]any)["id"] = id
			w.serve(string(aliceID), doc)
			w.serve(id, map[string]any{"id": id, "type": "Key", "owner": string(aliceID), "publicKeyPem": pemOf(w, aliceID)})
			return as(aliceID, fixed(id))(w, SchemeCavage)
		}},
		{"rotated key", func(w *world, s Scheme) *http.Request {
			w.do(good(w, SchemeCavage))
			w.accepted = nil
			doc := w.actor(aliceID)
			doc["publicKey"].(map[string]any)["publicKeyPem"] = pemOf(w, eveID)
			w.serve(string(aliceID), doc)
			return as(eveID, fixed(MainKeyID(aliceID)))(w, SchemeCavage)
		}},
		{"proof beside another's signature", func(w *world, s Scheme) *http.Request {
			body, _ := json.Marshal(note(malloryID))
			proven, err := Prove(body, malloryID, w.pairs[malloryID].Ed25519, w.clock)
			if err != nil {
				t.Fatal(err)
			}
			return w.post("/inbox", proven, aliceID, SchemeCavage)
		}},
		{"forwarded with an LD signature, as its origin has it", func(w *world, s Scheme) *http.Request {
			doc := note(malloryID)
			w.serve(doc["id"].(string), doc)
			return w.post("/inbox", with(doc, "signature", map[string]any{"type": "RsaSignature2017"}), aliceID, SchemeCavage)
		}},
		{"actor that is gone", func(w *world, s Scheme) *http.Request {
			w.docs[string(aliceID)] = answer{status: 410}
			return w.post("/inbox", activity("Delete", string(aliceID)), aliceID, SchemeCavage)
		}},
		{"personal inbox", func(w *world, s Scheme) *http.Request {
			return w.post("/ap/did:plc:carol/inbox", activity("Follow", string(copyID)), aliceID, SchemeRFC9421)
		}},
		{"no id", func(w *world, s Scheme) *http.Request {
			a := activity("Like", "https://bridge.test/at/1")
			delete(a, "id")
			return w.post("/inbox", a, aliceID, SchemeCavage)
		}},
	} {
		t.Run(v.name, func(t *testing.T) {
			w := newWorld(t)
			rec := w.do(v.build(w, SchemeCavage))
			if rec.Code != http.StatusAccepted || len(w.accepted) != 1 {
				t.Fatalf("status %d, %d accepted", rec.Code, len(w.accepted))
			}
		})
	}
}

// TestR91_Vet says what is left of embedded objects that nobody vouches for.
func TestR91_Vet(t *testing.T) {
	foreign := map[string]any{"id": "https://evil.test/n/1", "type": "Note", "attributedTo": string(eveID), "content": "forged"}
	for _, c := range []struct {
		name string
		doc  map[string]any
		want string // the object as JSON; empty: as it was
	}{
		{"Announce of an embedded note", activity("Announce", foreign), `"https://evil.test/n/1"`},
		{"Announce of an activity", activity("Announce", map[string]any{"id": "https://evil.test/c/1", "type": "Create", "actor": string(eveID), "object": foreign}),
			`{"actor":"https://evil.test/users/eve","id":"https://evil.test/c/1","object":"https://evil.test/n/1","type":"Create"}`},
		{"Like of an embedded note", activity("Like", foreign), `"https://evil.test/n/1"`},
		{"Flag", activity("Flag", []any{string(copyID), foreign}), `["https://bridge.test/ap/did:plc:carol","https://evil.test/n/1"]`},
		{"Announce by id", activity("Announce", "https://evil.test/n/1"), ""},
		{"own note", note(aliceID), ""},
		{"Undo of one's own", activity("Undo", map[string]any{"id": string(aliceID) + "/l/1", "type": "Like", "actor": string(aliceID), "object": "https://bridge.test/at/1"}), ""},
		{"Undo of a Follow without id", activity("Undo", map[string]any{"type": "Follow", "actor": string(aliceID), "object": string(copyID)}), ""},
		{"Delete with a Tombstone", activity("Delete", map[string]any{"id": string(aliceID) + "/n/1", "type": "Tombstone"}), ""},
		{"Accept of a Follow", activity("Accept", map[string]any{"type": "Follow", "actor": string(copyID), "object": string(aliceID)}), ""},
		{"Update of oneself", activity("Update", map[string]any{"id": string(aliceID), "type": "Person", "inbox": string(aliceID) + "/inbox"}), ""},
		{"Video by a person and a channel", activity("Create", map[string]any{"id": string(aliceID) + "/v/1", "type": "Video", "attributedTo": []any{
			map[string]any{"type": "Person", "id": string(aliceID)}, map[string]any{"type": "Group", "id": "https://remote.test/channel"}}}), ""},
		{"chess move nobody knows", activity("Travel", foreign), `"https://evil.test/n/1"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			if rec := w.do(w.post("/inbox", c.doc, aliceID, SchemeCavage)); rec.Code != http.StatusAccepted {
				t.Fatalf("status %d", rec.Code)
			}
			var got struct{ Object json.RawMessage }
			if err := json.Unmarshal(w.accepted[0].Raw, &got); err != nil {
				t.Fatal(err)
			}
			want := c.want
			if want == "" {
				b, _ := json.Marshal(c.doc["object"])
				want = string(b)
			}
			if string(got.Object) != want {
				t.Errorf("object is %s, want %s", got.Object, want)
			}
		})
	}
}

// TestNotDurable: nobody gets 202, and a signature is not spent, before the activity is safe.
func TestNotDurable(t *testing.T) {
	w := newWorld(t)
	w.failure = errors.New("disk full")
	r := good(w, SchemeCavage)
	header := r.Header.Clone()
	if rec := w.do(r); rec.Code != http.StatusServiceUnavailable || rec.Header().Get("Retry-After") == "" {
		t.Fatalf("status %d", rec.Code)
	}
	w.failure = nil
	r = w.request(&http.Request{Method: "POST", URL: r.URL, Header: header}, noteBody())
	r.Host = "bridge.test"
	if rec := w.do(r); rec.Code != http.StatusAccepted {
		t.Errorf("the same request after the failure: status %d", rec.Code)
	}
}

// TestInboxStatus pins the answers that senders act on.
func TestInboxStatus(t *testing.T) {
	w := newWorld(t)
	w.local["https://bridge.test/ap/did:plc:gone"] = &LocalActor{ID: "https://bridge.test/ap/did:plc:gone", Presence: Gone}
	for _, c := range []struct {
		name   string
		path   string
		change func(*http.Request)
		want   int
	}{
		{"plain JSON", "/inbox", func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }, 415},
		{"ld+json without profile", "/inbox", func(r *http.Request) { r.Header.Set("Content-Type", "application/ld+json") }, 415},
		{"packed", "/inbox", func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, 415},
		{"too long", "/inbox", func(r *http.Request) { r.ContentLength = 2 << 20 }, 413},
		{"unknown inbox", "/ap/did:plc:nobody/inbox", nil, 404},
		{"gone inbox", "/ap/did:plc:gone/inbox", nil, 410},
		{"not an inbox", "/ap/did:plc:carol/outbox", nil, 405},
	} {
		r := w.post(c.path, note(aliceID), aliceID, SchemeCavage)
		if c.change != nil {
			c.change(r)
		}
		if rec := w.do(r); rec.Code != c.want {
			t.Errorf("%s: status %d, want %d", c.name, rec.Code, c.want)
		}
	}
	if len(w.accepted) > 0 {
		t.Errorf("accepted %v", w.accepted)
	}
}

// TestTemporaryKeyFailure asks the sender to come back.
func TestTemporaryKeyFailure(t *testing.T) {
	w := newWorld(t)
	w.docs[string(aliceID)] = answer{status: 502}
	if rec := w.do(good(w, SchemeCavage)); rec.Code != http.StatusServiceUnavailable {
		t.Errorf("status %d", rec.Code)
	}
	w.serve(string(aliceID), w.actor(aliceID))
	w.clock = w.clock.Add(time.Minute)
	if rec := w.do(good(w, SchemeCavage)); rec.Code != http.StatusAccepted {
		t.Errorf("a minute later: status %d", rec.Code)
	}
}

// TestR106_Rates: one host cannot have more than its share, and cannot make us fetch without end.
func TestR106_Rates(t *testing.T) {
	w := newWorld(t, func(_ *world, o *ServerOptions) { o.InboxPerMinute = 3 })
	var last int
	for i := range 5 {
		last = w.do(w.post("/inbox", with(note(aliceID), "n", i), aliceID, SchemeCavage)).Code
	}
	if last != http.StatusTooManyRequests || len(w.accepted) != 3 {
		t.Errorf("status %d after %d accepted", last, len(w.accepted))
	}
	w = newWorld(t)
	for i := range 2 * keyFetches {
		w.do(as(eveID, fixed(fmt.Sprintf("https://victim.test/%d", i)))(w, SchemeCavage))
	}
	if len(w.asked) > keyFetches {
		t.Errorf("%d fetches from one host in a minute", len(w.asked))
	}
}

// TestDeletesOfStrangers cost nothing; those of members are looked into.
func TestDeletesOfStrangers(t *testing.T) {
	for known, want := range map[bool]int{true: 1, false: 0} {
		w := newWorld(t, func(_ *world, o *ServerOptions) {
			o.Knows = func(context.Context, identity.ActorID) bool { return known }
		})
		w.docs[string(aliceID)] = answer{status: 410}
		rec := w.do(w.post("/inbox", activity("Delete", string(aliceID)), aliceID, SchemeCavage))
		if rec.Code != http.StatusAccepted || len(w.accepted) != want || len(w.asked) != want {
			t.Errorf("known %v: status %d, %d accepted, %d fetches", known, rec.Code, len(w.accepted), len(w.asked))
		}
	}
}

// TestInboxSites: an actor's inbox may be on a sister host, not on a stranger's.
func TestInboxSites(t *testing.T) {
	for inbox, want := range map[string]bool{"https://example.com/inbox": true, "https://inbox.example.com/a": true, "https://example.org/inbox": false,
		"https://example.com.evil.com/inbox": false, "http://inbox.example.com/a": false, "": false, "https://com/x": false} {
		_, err := ParseActor([]byte(`{"id":"https://www.example.com/a","type":"Person","inbox":"` + inbox + `"}`))
		if (err == nil) != want {
			t.Errorf("%q: %v", inbox, err)
		}
	}
}

// TestR90_ReplayWindow: a signature is remembered as long as it would be taken.
func TestR90_ReplayWindow(t *testing.T) {
	w := newWorld(t)
	first := good(w, SchemeCavage)
	header := first.Header.Clone()
	if rec := w.do(first); rec.Code != http.StatusAccepted {
		t.Fatalf("status %d", rec.Code)
	}
	for _, later := range []time.Duration{0, time.Hour, 6 * time.Hour, 4 * time.Hour, 90 * time.Minute, 12 * time.Hour} {
		w.clock = w.clock.Add(later)
		again := w.request(&http.Request{Method: "POST", URL: first.URL, Header: header}, noteBody())
		again.Host = "bridge.test"
		if rec := w.do(again); rec.Code != http.StatusUnauthorized {
			t.Errorf("%v later: status %d", later, rec.Code)
		}
	}
	if len(w.accepted) != 1 {
		t.Errorf("accepted %d times", len(w.accepted))
	}
}

// TestR98_ContextsAreNotFetched: whatever a document names as its context, only its actor is asked for.
func TestR98_ContextsAreNotFetched(t *testing.T) {
	w := newWorld(t)
	doc := with(note(aliceID), "@context", []any{asNamespace, "https://unknown.test/context", "https://evil.test/ns", map[string]any{"x": "https://evil.test/x#"}})
	if rec := w.do(w.post("/inbox", doc, aliceID, SchemeCavage)); rec.Code != http.StatusAccepted {
		t.Fatalf("status %d", rec.Code)
	}
	if len(w.asked) != 1 || w.asked[0] != string(aliceID) {
		t.Errorf("fetched %v", w.asked)
	}
}
