package activitypub

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"footbridge/identity"
)

// forgery is one way to lie. build gives the request; it may prepare the world. Nothing of it may be accepted, and
// nothing may be fetched but what belongs to the key.
type forgery struct {
	name  string
	build func(w *world, s Scheme) *http.Request
	// only limits it to the schemes it makes sense for.
	only []Scheme
	// fetches allows this many fetches; -1 any.
	fetches int
}

var schemes = []Scheme{SchemeCavage, SchemeRFC9421, SchemeEd25519}

func good(w *world, s Scheme) *http.Request { return w.post("/inbox", note(aliceID), aliceID, s) }

// activity makes an activity of alice.
func activity(typ string, object any, more ...any) map[string]any {
	m := map[string]any{"@context": asNamespace, "id": string(aliceID) + "/act/1", "type": typ, "actor": string(aliceID), "object": object}
	for i := 0; i+1 < len(more); i += 2 {
		m[more[i].(string)] = more[i+1]
	}
	return m
}

func signedDoc(doc any) func(*world, Scheme) *http.Request {
	return func(w *world, s Scheme) *http.Request { return w.post("/inbox", doc, aliceID, s) }
}

// alter changes a good request after it was signed.
func alter(f func(r *http.Request)) func(*world, Scheme) *http.Request {
	return func(w *world, s Scheme) *http.Request {
		r := good(w, s)
		f(r)
		return r
	}
}

// at signs a good request with another clock.
func at(d time.Duration) func(*world, Scheme) *http.Request {
	return func(w *world, s Scheme) *http.Request {
		w.clock = w.clock.Add(d)
		r := good(w, s)
		w.clock = w.clock.Add(-d)
		return r
	}
}

func with(doc map[string]any, more ...any) map[string]any {
	out := maps.Clone(doc)
	for i := 0; i+1 < len(more); i += 2 {
		out[more[i].(string)] = more[i+1]
	}
	return out
}

// cavage signs whatever headers are named, with whatever algorithm name and key.
func cavage(w *world, covered []string, algorithm string, params string, body []byte, change func(*http.Request)) *http.Request {
	req, _ := http.NewRequest(http.MethodPost, bridgeBase+"/inbox", bytes.NewReader(body))
	req.Header.Set("Content-Type", activityJSON)
	req.Header.Set("Date", w.clock.UTC().Format(http.TimeFormat))
	req.Header.Set("Digest", digestHeader(body))
	if change != nil {
		change(req)
	}
	all := map[string]string{}
	for _, p := range strings.Split(params, ",") {
		if k, v, ok := strings.Cut(p, "="); ok {
			all[k] = v
		}
	}
	r := received{method: req.Method, target: "/inbox", host: req.URL.Host, header: req.Header}
	base, ok := cavageBase(r, covered, r.target, all)
	if !ok {
		base = []byte("x")
	}
	sum := sha256.Sum256(base)
	sig, _ := w.pairs[aliceID].RSA.Sign(rand.Reader, sum[:], crypto.SHA256)
	head := fmt.Sprintf(`keyId="%s",algorithm="%s",headers="%s",signature="%s"`, MainKeyID(aliceID), algorithm, strings.Join(covered, " "), base64.StdEncoding.EncodeToString(sig))
	if params != "" {
		head += "," + params
	}
	req.Header.Set("Signature", head)
	return w.request(req, body)
}

// rfc9421 signs whatever components with whatever parameters.
func rfc9421(w *world, params string, body []byte, change func(*http.Request)) *http.Request {
	req, _ := http.NewRequest(http.MethodPost, bridgeBase+"/inbox", bytes.NewReader(body))
	req.Header.Set("Content-Type", activityJSON)
	req.Header.Set("Content-Digest", contentDigest(body))
	if change != nil {
		change(req)
	}
	dict, err := parseDictionary("sig1=" + params)
	base := []byte("x")
	if err == nil {
		r := received{method: "POST", target: "/inbox", host: "bridge.test", origin: bridgeBase, header: req.Header}
		if b, err := rfc9421Base(r, dict[0].list, params); err == nil {
			base = b
		}
	}
	sum := sha256.Sum256(base)
	sig, _ := w.pairs[aliceID].RSA.Sign(rand.Reader, sum[:], crypto.SHA256)
	req.Header.Set("Signature-Input", "sig1="+params)
	req.Header.Set("Signature", "sig1=:"+base64.StdEncoding.EncodeToString(sig)+":")
	return w.request(req, body)
}

func noteBody() []byte {
	b, _ := json.Marshal(note(aliceID))
	return b
}

var usual = []string{"(request-target)", "host", "date", "digest"}

func drop(name string) []string {
	var out []string
	for _, u := range usual {
		if u != name {
			out = append(out, u)
		}
	}
	return out
}

func cav(covered []string, algorithm, params string, change func(*http.Request)) func(*world, Scheme) *http.Request {
	return func(w *world, _ Scheme) *http.Request {
		return cavage(w, covered, algorithm, params, noteBody(), change)
	}
}

func msg(format string, change func(*http.Request)) func(*world, Scheme) *http.Request {
	return func(w *world, _ Scheme) *http.Request {
		p := strings.NewReplacer("CREATED", fmt.Sprint(w.clock.Unix()), "KEY", MainKeyID(aliceID)).Replace(format)
		return rfc9421(w, p, noteBody(), change)
	}
}

// as signs for alice's key id with the key of another.
func as(other identity.ActorID, keyID func(Scheme) string) func(*world, Scheme) *http.Request {
	return func(w *world, s Scheme) *http.Request {
		body := noteBody()
		req, _ := http.NewRequest(http.MethodPost, bridgeBase+"/inbox", bytes.NewReader(body))
		req.Header.Set("Content-Type", activityJSON)
		key := w.pairs[other].RSA
		if s == SchemeEd25519 {
			key = w.pairs[other].Ed25519
		}
		var err error
		if s == SchemeCavage {
			err = signCavage(req, body, keyID(s), key, w.clock)
		} else {
			err = signRFC9421(req, body, keyID(s), key, w.clock)
		}
		if err != nil {
			w.t.Fatal(err)
		}
		return w.request(req, body)
	}
}

func keyOf(id identity.ActorID) func(Scheme) string {
	return func(s Scheme) string {
		if s == SchemeEd25519 {
			return ProofKeyID(id)
		}
		return MainKeyID(id)
	}
}

func fixed(s string) func(Scheme) string { return func(Scheme) string { return s } }

var cavageOnly, rfcOnly = []Scheme{SchemeCavage}, []Scheme{SchemeRFC9421}

func forgeries() []forgery {
	victimNote := string(malloryID) + "/notes/9"
	return append([]forgery{
		{name: "01 no signature", build: alter(func(r *http.Request) { r.Header.Del("Signature"); r.Header.Del("Signature-Input") })},
		{name: "02 bad bytes", build: alter(func(r *http.Request) {
			r.Header.Set("Signature", strings.Replace(r.Header.Get("Signature"), "=:", "=:AAAA", 1)+"!")
		})},
		{name: "02 body changed", build: func(w *world, s Scheme) *http.Request {
			r := good(w, s)
			r.Body = http.NoBody
			return r
		}},
		{name: "03 wrong key", build: as(eveID, keyOf(aliceID)), fetches: 2},
		{name: "04 key of another actor of the host", build: as(malloryID, keyOf(malloryID)), fetches: 1},
		{name: "05 key on another host", build: as(eveID, keyOf(eveID)), fetches: 1},
		{name: "06 acct key id", build: as(eveID, fixed("acct:alice@remote.test"))},
		{name: "07 key document with another id", build: func(w *world, s Scheme) *http.Request {
			w.serve("https://remote.test/keys/1", w.actor(aliceID)) // says it is alice, but is not where alice is
			w.serve(string(aliceID), with(w.actor(aliceID), "id", "https://remote.test/users/other"))
			return good(w, s)
		}, fetches: 2},
		{name: "08 owner claims a victim who does not list the key", build: func(w *world, s Scheme) *http.Request {
			text, _ := PublicPEM(w.pairs[malloryID].RSA.Public())
			w.serve("https://remote.test/keys/1", map[string]any{"id": "https://remote.test/keys/1", "owner": string(aliceID), "publicKeyPem": text, "type": "Key"})
			return as(malloryID, fixed("https://remote.test/keys/1"))(w, s)
		}, fetches: 2},
		{name: "08 owner on another host", build: func(w *world, s Scheme) *http.Request {
			text, _ := PublicPEM(w.pairs[eveID].RSA.Public())
			w.serve("https://evil.test/keys/1", map[string]any{"id": "https://evil.test/keys/1", "owner": string(aliceID), "publicKeyPem": text})
			return as(eveID, fixed("https://evil.test/keys/1"))(w, s)
		}, fetches: 1},
		{name: "08 owner's page is another actor's", build: func(w *world, s Scheme) *http.Request {
			key := map[string]any{"id": "https://remote.test/keys/1", "owner": string(malloryID), "publicKeyPem": pemOf(w, eveID)}
			w.serve("https://remote.test/keys/1", map[string]any{"id": "https://remote.test/keys/1", "type": "Key", "owner": "https://remote.test/pages/1"})
			w.serve("https://remote.test/pages/1", with(w.actor(malloryID), "publicKey", key))
			r := note(malloryID)
			body, _ := json.Marshal(r)
			req, _ := http.NewRequest(http.MethodPost, bridgeBase+"/inbox", bytes.NewReader(body))
			req.Header.Set("Content-Type", activityJSON)
			_ = signCavage(req, body, "https://remote.test/keys/1", w.pairs[eveID].RSA, w.clock)
			return w.request(req, body)
		}, fetches: 2},
		{name: "08 listed key is owned by another", build: func(w *world, s Scheme) *http.Request {
			w.serve(string(aliceID), with(w.actor(aliceID), "assertionMethod", []any{},
				"publicKey", map[string]any{"id": MainKeyID(aliceID), "owner": string(malloryID), "publicKeyPem": pemOf(w, aliceID)}))
			return good(w, s)
		}, fetches: 1},
		{name: "26 LD signature, another's activity at the origin", build: func(w *world, s Scheme) *http.Request {
			doc := with(note(malloryID), "signature", map[string]any{"type": "RsaSignature2017"})
			w.serve(doc["id"].(string), with(note(malloryID), "actor", "https://remote.test/users/other"))
			return w.post("/inbox", doc, aliceID, s)
		}, fetches: 2},
		{name: "09 actor is not the signer", build: signedDoc(note(malloryID)), fetches: 1},
		{name: "09 actor of another host", build: signedDoc(note(eveID)), fetches: 1},
		{name: "10 attributedTo another", build: signedDoc(activity("Create", map[string]any{"id": string(aliceID) + "/n/1", "type": "Note", "attributedTo": string(malloryID)}, "to", []any{})), fetches: 1},
		{name: "10 attributedTo nobody", build: signedDoc(activity("Create", map[string]any{"id": string(aliceID) + "/n/1", "type": "Note", "content": "x"})), fetches: 1},
		{name: "10 attributed to another first", build: signedDoc(activity("Create", map[string]any{"id": string(aliceID) + "/n/1", "type": "Note", "attributedTo": []any{string(malloryID), string(aliceID)}})), fetches: 1},
		{name: "10 attributed to another origin, too", build: signedDoc(activity("Create", map[string]any{"id": string(aliceID) + "/n/1", "type": "Note", "attributedTo": []any{string(aliceID), string(eveID)}})), fetches: 1},
		{name: "10 object.actor is another", build: signedDoc(activity("Create", map[string]any{"id": string(aliceID) + "/n/1", "type": "Note", "attributedTo": string(aliceID), "actor": string(malloryID)})), fetches: 1},
		{name: "11 object of another origin", build: signedDoc(activity("Create", map[string]any{"id": string(eveID) + "/n/1", "type": "Note", "attributedTo": string(aliceID)})), fetches: 1},
		{name: "11 object of another port", build: signedDoc(activity("Create", map[string]any{"id": "https://remote.test:8443/n/1", "type": "Note", "attributedTo": string(aliceID)})), fetches: 1},
		{name: "11 object without id", build: signedDoc(activity("Create", map[string]any{"type": "Note", "attributedTo": string(aliceID)})), fetches: 1},
		{name: "11 activity id of another origin", build: signedDoc(activity("Like", victimNote, "id", "https://evil.test/act/1")), fetches: 1},
		{name: "12 Update of another's note", build: signedDoc(activity("Update", map[string]any{"id": victimNote, "type": "Note", "attributedTo": string(aliceID)})), fetches: 1},
		{name: "12 Update of another actor", build: signedDoc(activity("Update", map[string]any{"id": string(malloryID), "type": "Person", "inbox": string(malloryID) + "/inbox"})), fetches: 1},
		{name: "12 Update of an actor nobody knows", build: signedDoc(activity("Update", map[string]any{"id": "https://remote.test/users/new", "type": "Person", "inbox": "https://remote.test/users/new/inbox"})), fetches: 1},
		{name: "12 Update of another actor under two types", build: signedDoc(activity("Update", map[string]any{"id": string(malloryID), "type": []any{"Note", "Person"}, "attributedTo": string(aliceID)})), fetches: 1},
		{name: "12 Delete of another's note", build: signedDoc(activity("Delete", victimNote)), fetches: 1},
		{name: "12 Delete of another actor", build: signedDoc(activity("Delete", string(malloryID))), fetches: 1},
		{name: "12 Delete elsewhere", build: signedDoc(activity("Delete", string(eveID))), fetches: 1},
		{name: "12 Delete of two", build: signedDoc(activity("Delete", []any{string(aliceID) + "/n/1", victimNote})), fetches: 1},
		{name: "12 Undo of another's Follow", build: signedDoc(activity("Undo", map[string]any{"id": string(aliceID) + "/f/1", "type": "Follow", "actor": string(malloryID), "object": string(copyID)})), fetches: 1},
		{name: "12 Undo of an activity elsewhere", build: signedDoc(activity("Undo", "https://evil.test/f/1")), fetches: 1},
		{name: "13 Move of another", build: signedDoc(activity("Move", string(malloryID), "target", string(eveID))), fetches: 1},
		{name: "13 Accept of another's Follow", build: signedDoc(activity("Accept", map[string]any{"type": "Follow", "actor": string(copyID), "object": string(malloryID)})), fetches: 1},
		{name: "13 Add to another's collection", build: signedDoc(activity("Add", victimNote, "target", "https://evil.test/featured")), fetches: 1},
		{name: "19 another host", build: alter(func(r *http.Request) { r.Host = "other.test" })},
		{name: "20 thirteen hours old", build: at(-13 * time.Hour)},
		{name: "20 two hours ahead", build: at(2 * time.Hour)},
		{name: "21 replay", build: func(w *world, s Scheme) *http.Request {
			r := good(w, s)
			w.do(r)
			w.accepted, w.asked = nil, nil
			replay := w.request(&http.Request{Method: "POST", URL: r.URL, Header: r.Header}, noteBody())
			replay.Host = r.Host
			return replay
		}},
		{name: "23 two Signature headers", build: alter(func(r *http.Request) { r.Header.Add("Signature", r.Header.Get("Signature")) })},
		{name: "26 LD signature only", build: func(w *world, s Scheme) *http.Request {
			doc := with(note(eveID), "signature", map[string]any{"type": "RsaSignature2017", "creator": MainKeyID(eveID), "signatureValue": "eA=="})
			r := w.post("/inbox", doc, aliceID, s)
			return r
		}, fetches: 2},
		{name: "26 LD signature and nothing else", build: func(w *world, s Scheme) *http.Request {
			doc := with(note(aliceID), "signature", map[string]any{"type": "RsaSignature2017", "creator": MainKeyID(aliceID), "signatureValue": "eA=="})
			r := w.post("/inbox", doc, aliceID, s)
			r.Header.Del("Signature")
			r.Header.Del("Signature-Input")
			return r
		}},
		{name: "28 gone actor of another host", build: func(w *world, s Scheme) *http.Request {
			w.docs[string(eveID)] = answer{status: 410}
			return as(eveID, keyOf(eveID))(w, s)
		}, fetches: 1},
		{name: "28 gone key, actor alive", build: func(w *world, s Scheme) *http.Request {
			w.docs["https://remote.test/keys/gone"] = answer{status: 410}
			body, _ := json.Marshal(activity("Delete", string(aliceID)))
			req, _ := http.NewRequest(http.MethodPost, bridgeBase+"/inbox", bytes.NewReader(body))
			req.Header.Set("Content-Type", activityJSON)
			_ = signRFC9421(req, body, "https://remote.test/keys/gone", w.pairs[eveID].RSA, w.clock)
			return w.request(req, body)
		}, fetches: 2},
		{name: "28 actor missing (404) is not gone", build: func(w *world, s Scheme) *http.Request {
			w.docs[string(aliceID)] = answer{status: 404}
			return w.post("/inbox", activity("Delete", string(aliceID)), aliceID, s)
		}, fetches: 1},
		{name: "29 blocked host", build: func(w *world, s Scheme) *http.Request {
			w.blocked["remote.test"] = true
			return good(w, s)
		}},
		{name: "29 blocked actor, other key", build: func(w *world, s Scheme) *http.Request {
			w.blocked["remote.test"] = true
			return as(eveID, keyOf(eveID))(w, s)
		}},
		{name: "31 host in other case", build: signedDoc(with(note(aliceID), "actor", "https://REMOTE.test/users/alice")), fetches: 1},
		{name: "31 look-alike host", build: signedDoc(with(note(aliceID), "actor", "https://rem\u043ete.test/users/alice")), fetches: 1},
		{name: "32 actor redirected elsewhere", build: func(w *world, s Scheme) *http.Request {
			w.docs[string(aliceID)] = answer{status: 302, location: "https://evil.test/alice"}
			w.serve("https://evil.test/alice", with(w.actor(eveID), "id", string(aliceID), "publicKey", map[string]any{"id": MainKeyID(aliceID), "owner": string(aliceID), "publicKeyPem": pemOf(w, eveID)}))
			return as(eveID, keyOf(aliceID))(w, s)
		}, fetches: 2},
		{name: "own host as sender", build: func(w *world, s Scheme) *http.Request { return w.post("/inbox", note(copyID), copyID, s) }},
	}, append(cavageForgeries(), append(messageForgeries(), documentForgeries()...)...)...)
}

func pemOf(w *world, id identity.ActorID) string {
	text, _ := PublicPEM(w.pairs[id].RSA.Public())
	return text
}

// TestForgery shows that none of the lies of the forgery list is believed, whatever the algorithm.
func TestForgery(t *testing.T) {
	count := 0
	for _, f := range forgeries() {
		for _, s := range schemes {
			if f.only != nil && f.only[0] != s {
				continue
			}
			count++
			t.Run(f.name+"/"+string(s), func(t *testing.T) { runForgery(t, f, s) })
		}
	}
	if count < 150 {
		t.Errorf("only %d forgeries ran", count)
	}
}

func runForgery(t *testing.T, f forgery, s Scheme) {
	w := newWorld(t)
	w.owners[string(malloryID)+"/notes/9"] = malloryID
	w.owners[string(malloryID)] = malloryID
	rec := w.do(f.build(w, s))
	if rec.Code < 400 || rec.Code >= 500 {
		t.Errorf("status %d, want a refusal", rec.Code)
	}
	if rec.Body.Len() > 0 {
		t.Errorf("the answer says why: %q", rec.Body)
	}
	if len(w.accepted) > 0 {
		t.Errorf("accepted %+v", w.accepted)
	}
	if len(w.asked) > f.fetches {
		t.Errorf("fetched %v, at most %d allowed", w.asked, f.fetches)
	}
}
