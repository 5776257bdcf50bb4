package activitypub

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
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

func cavageForgeries() []forgery {
	list := []forgery{
		{name: "14 digest missing", build: cav(drop("digest"), "rsa-sha256", "", func(r *http.Request) { r.Header.Del("Digest") })},
		{name: "15 digest wrong", build: cav(usual, "rsa-sha256", "", func(r *http.Request) { r.Header.Set("Digest", digestHeader([]byte("other"))) })},
		{name: "15 one digest right, one wrong", build: cav(usual, "rsa-sha256", "", func(r *http.Request) {
			r.Header.Set("Digest", r.Header.Get("Digest")+",SHA-512=AAAA")
		})},
		{name: "16 digest not signed", build: cav(drop("digest"), "rsa-sha256", "", nil)},
		{name: "17 SHA-1 digest", build: cav(usual, "rsa-sha256", "", func(r *http.Request) { r.Header.Set("Digest", "SHA=2jmj7l5rSw0yVb/vlWAYkK/YBwk=") })},
		{name: "17 unknown digest", build: cav(usual, "rsa-sha256", "", func(r *http.Request) { r.Header.Set("Digest", "MD5=AAAA") })},
		{name: "18 target not signed", build: cav(drop("(request-target)"), "rsa-sha256", "", nil)},
		{name: "18 another path", build: alter(func(r *http.Request) { r.RequestURI, r.URL.Path = "/bot/inbox", "/bot/inbox" })},
		{name: "19 host not signed", build: cav(drop("host"), "rsa-sha256", "", nil)},
		{name: "20 date missing", build: cav(drop("date"), "rsa-sha256", "", func(r *http.Request) { r.Header.Del("Date") })},
		{name: "20 date not signed", build: cav(drop("date"), "rsa-sha256", "", nil)},
		{name: "20 date is no date", build: cav(usual, "rsa-sha256", "", func(r *http.Request) { r.Header.Set("Date", "yesterday") })},
		{name: "22 created long past", build: cav([]string{"(request-target)", "host", "(created)", "digest"}, "hs2019", "created=1402170695", nil)},
		{name: "22 expired", build: cav(append(drop("date"), "(created)", "(expires)"), "hs2019", "created=1795521000,expires=1795521001", nil)},
		{name: "22 created with rsa-sha256", build: cav(append(drop("date"), "(created)"), "rsa-sha256", "created=1795521600", nil)},
		{name: "23 duplicate parameters", build: func(w *world, s Scheme) *http.Request {
			r := good(w, s)
			r.Header.Set("Signature", `keyId="`+MainKeyID(eveID)+`",`+r.Header.Get("Signature"))
			return r
		}},
		{name: "23 duplicate covered header", build: cav(append(drop(""), "date"), "rsa-sha256", "", nil)},
		{name: "23 duplicate Date", build: alter(func(r *http.Request) { r.Header.Add("Date", r.Header.Get("Date")) })},
		{name: "23 duplicate Digest", build: alter(func(r *http.Request) { r.Header.Add("Digest", r.Header.Get("Digest")) })},
		{name: "24 unknown algorithm", build: cav(usual, "none", "", nil)},
		{name: "24 ed25519 named for an RSA key", build: cav(usual, "ed25519", "", nil), fetches: 2},
		{name: "25 HMAC with the public key", build: func(w *world, _ Scheme) *http.Request {
			r := good(w, SchemeCavage)
			m := hmac.New(sha256.New, []byte(pemOf(w, aliceID)))
			m.Write([]byte("(request-target): post /inbox"))
			r.Header.Set("Signature", fmt.Sprintf(`keyId="%s",algorithm="hmac-sha256",headers="(request-target) host date digest",signature="%s"`, MainKeyID(aliceID), base64.StdEncoding.EncodeToString(m.Sum(nil))))
			return r
		}},
		{name: "25 short RSA key", build: weakKey(shortKey()), fetches: 1},
		{name: "25 RSA exponent 1", build: weakKey(func() *rsa.PublicKey {
			p := *testKeys()[2].RSA.Public().(*rsa.PublicKey)
			p.E = 1
			return &p
		}()), fetches: 1},
		{name: "25 giant RSA key", build: weakKey(func() *rsa.PublicKey {
			p := *testKeys()[2].RSA.Public().(*rsa.PublicKey)
			p.N = new(big.Int).Lsh(p.N, 8192)
			p.N.SetBit(p.N, 0, 1)
			return &p
		}()), fetches: 1},
		{name: "27 old key after a rotation", build: func(w *world, s Scheme) *http.Request {
			w.do(good(w, s)) // the old key is cached now
			w.accepted, w.asked = nil, nil
			w.serve(string(aliceID), with(w.actor(aliceID), "publicKey", map[string]any{"id": MainKeyID(aliceID), "owner": string(aliceID), "publicKeyPem": pemOf(w, eveID)}))
			rotated := as(eveID, keyOf(aliceID))(w, s)
			w.do(rotated) // and now the new one
			w.accepted, w.asked = nil, nil
			w.clock = w.clock.Add(time.Second)
			return good(w, s)
		}, fetches: 0},
	}
	for i := range list {
		list[i].only = cavageOnly
	}
	return list
}

func shortKey() *rsa.PublicKey {
	p := *testKeys()[2].RSA.Public().(*rsa.PublicKey)
	p.N = new(big.Int).Rsh(p.N, 1100)
	p.N.SetBit(p.N, 0, 1)
	return &p
}

func weakKey(pub *rsa.PublicKey) func(*world, Scheme) *http.Request {
	return func(w *world, s Scheme) *http.Request {
		text, err := PublicPEM(pub)
		if err != nil {
			w.t.Fatal(err)
		}
		w.serve(string(aliceID), with(w.actor(aliceID), "publicKey", map[string]any{"id": MainKeyID(aliceID), "owner": string(aliceID), "publicKeyPem": text}))
		return good(w, s)
	}
}

func messageForgeries() []forgery {
	full := `("@method" "@target-uri" "content-digest");created=CREATED;keyid="KEY"`
	list := []forgery{
		{name: "14 content-digest missing", build: msg(`("@method" "@target-uri");created=CREATED;keyid="KEY"`, func(r *http.Request) { r.Header.Del("Content-Digest") })},
		{name: "15 content-digest wrong", build: msg(full, func(r *http.Request) { r.Header.Set("Content-Digest", contentDigest([]byte("other"))) })},
		{name: "16 content-digest not signed", build: msg(`("@method" "@target-uri");created=CREATED;keyid="KEY"`, nil)},
		{name: "17 unknown content-digest", build: msg(full, func(r *http.Request) { r.Header.Set("Content-Digest", "md5=:AAAA:") })},
		{name: "17 content-digest malformed", build: msg(full, func(r *http.Request) { r.Header.Set("Content-Digest", "sha-256=AAAA") })},
		{name: "18 target not signed", build: msg(`("@method" "content-digest");created=CREATED;keyid="KEY"`, nil)},
		{name: "18 method not signed", build: msg(`("@target-uri" "content-digest");created=CREATED;keyid="KEY"`, nil)},
		{name: "18 only the path", build: msg(`("@method" "@path" "content-digest");created=CREATED;keyid="KEY"`, nil)},
		{name: "20 created missing", build: msg(`("@method" "@target-uri" "content-digest");keyid="KEY"`, nil)},
		{name: "22 expired", build: msg(full+`;expires=1402170695`, nil)},
		{name: "22 created long past", build: msg(`("@method" "@target-uri" "content-digest");created=1402170695;keyid="KEY"`, nil)},
		{name: "22 created as text", build: msg(`("@method" "@target-uri" "content-digest");created="CREATED";keyid="KEY"`, nil)},
		{name: "23 two labels", build: alter(func(r *http.Request) {
			r.Header.Set("Signature-Input", r.Header.Get("Signature-Input")+", "+strings.Replace(r.Header.Get("Signature-Input"), "sig1", "sig2", 1))
			r.Header.Set("Signature", r.Header.Get("Signature")+", "+strings.Replace(r.Header.Get("Signature"), "sig1", "sig2", 1))
		})},
		{name: "23 labels differ", build: alter(func(r *http.Request) {
			r.Header.Set("Signature", strings.Replace(r.Header.Get("Signature"), "sig1", "sig2", 1))
		})},
		{name: "23 same label twice", build: alter(func(r *http.Request) {
			r.Header.Set("Signature", r.Header.Get("Signature")+", "+r.Header.Get("Signature"))
		})},
		{name: "23 two Signature-Input headers", build: alter(func(r *http.Request) { r.Header.Add("Signature-Input", r.Header.Get("Signature-Input")) })},
		{name: "23 covered header sent twice", build: msg(`("@method" "@target-uri" "content-digest" "content-type");created=CREATED;keyid="KEY"`, func(r *http.Request) { r.Header.Add("Content-Type", "text/html") })},
		{name: "24 wrong tag", build: msg(full+`;tag="web-bot-auth"`, nil)},
		{name: "24 tag is not text", build: msg(full+`;tag`, nil)},
		{name: "24 unknown parameter", build: msg(full+`;extra="1"`, nil)},
		{name: "24 component twice", build: msg(`("@method" "@method" "@target-uri" "content-digest");created=CREATED;keyid="KEY"`, nil)},
		{name: "24 component with ;req", build: msg(`("@method" "@target-uri";req "content-digest");created=CREATED;keyid="KEY"`, nil)},
		{name: "24 component with ;bs", build: msg(`("@method" "@target-uri" "content-digest";bs);created=CREATED;keyid="KEY"`, nil)},
		{name: "24 component with ;key", build: msg(`("@method" "@target-uri" "content-digest";key="sha-256");created=CREATED;keyid="KEY"`, nil)},
		{name: "24 @query-param", build: msg(`("@method" "@target-uri" "content-digest" "@query-param";name="x");created=CREATED;keyid="KEY"`, nil)},
		{name: "24 @status", build: msg(`("@method" "@target-uri" "content-digest" "@status");created=CREATED;keyid="KEY"`, nil)},
		{name: "24 upper-case component", build: msg(`("@method" "@target-uri" "Content-Digest");created=CREATED;keyid="KEY"`, nil)},
		{name: "24 smuggled component", build: msg("(\"@method\" \"@target-uri\" \"content-digest\" \"x\\\"\\n@path\");created=CREATED;keyid=\"KEY\"", nil)},
		{name: "24 alg of another kind", build: msg(full+`;alg="ed25519"`, nil), fetches: 2},
		{name: "24 alg hmac", build: msg(full+`;alg="hmac-sha256"`, nil)},
		{name: "24 alg unknown", build: msg(full+`;alg="none"`, nil)},
		{name: "24 RSA named for an Ed25519 key", build: func(w *world, _ Scheme) *http.Request {
			body := noteBody()
			params := fmt.Sprintf(`("@method" "@target-uri" "content-digest");created=%d;keyid="%s";alg="rsa-v1_5-sha256"`, w.clock.Unix(), ProofKeyID(aliceID))
			r := rfc9421(w, params, body, nil)
			dict, _ := parseDictionary("sig1=" + params)
			base, err := rfc9421Base(received{method: "POST", target: "/inbox", host: "bridge.test", origin: bridgeBase, header: r.Header}, dict[0].list, params)
			if err != nil {
				w.t.Fatal(err)
			}
			sig, _ := w.pairs[aliceID].Ed25519.Sign(nil, base, crypto.Hash(0))
			r.Header.Set("Signature", "sig1=:"+base64.StdEncoding.EncodeToString(sig)+":")
			return r
		}, fetches: 2},
		{name: "24 PSS named for PKCS1", build: msg(full+`;alg="rsa-pss-sha512"`, nil), fetches: 2},
		{name: "24 parameters changed", build: alter(func(r *http.Request) { r.Header.Set("Signature-Input", r.Header.Get("Signature-Input")+`;nonce="1"`) }), fetches: 2},
		{name: "24 cavage signature beside", build: alter(func(r *http.Request) {
			r.Header.Set("Signature", `keyId="x",signature="eA==",headers="date"`)
		})},
	}
	for i := range list {
		list[i].only = rfcOnly
	}
	return list
}

func documentForgeries() []forgery {
	raw := func(s string) func(*world, Scheme) *http.Request {
		return func(w *world, sc Scheme) *http.Request {
			s := strings.NewReplacer("ALICE", string(aliceID), "MALLORY", string(malloryID)).Replace(s)
			return w.post("/inbox", []byte(s), aliceID, sc)
		}
	}
	like := `"id":"ALICE/l/1","type":"Like","object":"https://bridge.test/at/1"`
	return []forgery{
		{name: "30 actor twice", build: raw(`{` + like + `,"actor":"MALLORY","actor":"ALICE"}`)},
		{name: "30 actor escaped twice", build: raw(`{` + like + `,"actor":"ALICE","\u0061ctor":"MALLORY"}`)},
		{name: "30 ACTOR only", build: raw(`{` + like + `,"ACTOR":"ALICE"}`)},
		{name: "30 id twice inside", build: raw(`{"id":"ALICE/c/1","type":"Create","actor":"ALICE","object":{"id":"ALICE/n/1","id":"MALLORY/n/1","type":"Note","attributedTo":"ALICE"}}`)},
		{name: "30 actor is a list", build: raw(`{` + like + `,"actor":["ALICE","MALLORY"]}`)},
		{name: "30 id is a list", build: raw(`{"id":["ALICE/l/1"],"type":"Like","object":"https://bridge.test/at/1","actor":"ALICE"}`)},
		{name: "30 id is an object", build: raw(`{"id":{"id":"ALICE/l/1"},"type":"Like","object":"https://bridge.test/at/1","actor":"ALICE"}`)},
		{name: "30 several types", build: raw(`{"id":"ALICE/l/1","type":["Like","Delete"],"object":"MALLORY/n/1","actor":"ALICE"}`), fetches: 1},
		{name: "30 type missing", build: raw(`{"id":"ALICE/l/1","object":"MALLORY/n/1","actor":"ALICE"}`)},
		{name: "30 a list of one", build: raw(`[{` + like + `,"actor":"ALICE"}]`)},
		{name: "30 text after the document", build: raw(`{` + like + `,"actor":"ALICE"}{}`)},
		{name: "30 context swaps terms", build: raw(`{"@context":["https://www.w3.org/ns/activitystreams",{"actor":"ex:x","y":"as:actor"}],` + like + `,"actor":"ALICE","y":"MALLORY"}`), fetches: 1},
		{name: "30 context swaps as", build: raw(`{"@context":["https://www.w3.org/ns/activitystreams",{"as":"https://evil.test/"}],` + like + `,"actor":"ALICE"}`), fetches: 1},
		{name: "30 context aliases @id", build: raw(`{"@context":["https://www.w3.org/ns/activitystreams",{"uri":"@id"}],` + like + `,"actor":"ALICE","uri":"MALLORY/1"}`), fetches: 1},
		{name: "30 term under another name", build: raw(`{` + like + `,"actor":"ALICE","as:object":"x"}`), fetches: 1},
		{name: "30 @graph", build: raw(`{` + like + `,"actor":"ALICE","@graph":[{"id":"MALLORY/1"}]}`), fetches: 1},
		{name: "30 @reverse inside", build: raw(`{"id":"ALICE/l/1","type":"Like","actor":"ALICE","object":{"id":"x","@reverse":{"object":{}}}}`), fetches: 1},
		{name: "30 not UTF-8", build: func(w *world, s Scheme) *http.Request {
			return w.post("/inbox", []byte("{\"id\":\"\xff\",\"type\":\"Like\",\"actor\":\""+string(aliceID)+"\"}"), aliceID, s)
		}},
		{name: "proof of another", build: func(w *world, s Scheme) *http.Request {
			body, _ := json.Marshal(note(malloryID))
			proven, err := Prove(body, eveID, w.pairs[eveID].Ed25519, w.clock)
			if err != nil {
				w.t.Fatal(err)
			}
			return w.post("/inbox", proven, aliceID, s)
		}, fetches: 1},
		{name: "proof by the wrong key", build: func(w *world, s Scheme) *http.Request {
			body, _ := json.Marshal(note(malloryID))
			proven, _ := Prove(body, malloryID, w.pairs[eveID].Ed25519, w.clock)
			return w.post("/inbox", proven, aliceID, s)
		}, fetches: 3},
		{name: "proof of a changed document", build: func(w *world, s Scheme) *http.Request {
			body, _ := json.Marshal(note(malloryID))
			proven, _ := Prove(body, malloryID, w.pairs[malloryID].Ed25519, w.clock)
			return w.post("/inbox", bytes.Replace(proven, []byte("hi"), []byte("ho"), 1), aliceID, s)
		}, fetches: 3},
		{name: "proof with a domain", build: func(w *world, s Scheme) *http.Request {
			doc := document(note(malloryID))
			doc["proof"] = map[string]any{"type": "DataIntegrityProof", "cryptosuite": cryptosuite, "verificationMethod": ProofKeyID(malloryID), "proofPurpose": "assertionMethod", "domain": "x",
				"proofValue": "z" + strings.Repeat("1", ed25519.SignatureSize)}
			return w.post("/inbox", map[string]any(doc), aliceID, s)
		}, fetches: 3},
	}
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
