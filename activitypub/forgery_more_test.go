package activitypub

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"time"
)

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
