package activitypub

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/go-fed/httpsig"
)

// TestRFC9421Vector is appendix B.2.6 of RFC 9421.
func TestRFC9421Vector(t *testing.T) {
	seed, _ := base64.RawURLEncoding.DecodeString("n4Ni-HpISpVObnQMW0wOhCKROaIKqKtW_2ZYb2p9KcU")
	key := ed25519.NewKeyFromSeed(seed)
	header := http.Header{}
	header.Set("Date", "Tue, 20 Apr 2021 02:07:55 GMT")
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", "18")
	r := received{method: "POST", target: "/foo?param=Value&Pet=dog", origin: "https://example.com", host: "example.com", header: header}
	dict, err := parseDictionary(`sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"`)
	if err != nil {
		t.Fatal(err)
	}
	base, err := rfc9421Base(r, dict[0].list, dict[0].raw)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := signBase(key, algEd25519, base)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := base64.StdEncoding.EncodeToString(sig), "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="; got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
}

// TestProofVectors are the published ones: the W3C's for eddsa-jcs-2022, whose options carry a context, and one in the
// style of FEP-8b32, whose options do not.
func TestProofVectors(t *testing.T) {
	pub, err := parseMultikey("z6MkrJVnaZkeFzdQyMZu1cgjg7k1pZZ6pvBQ7XJPt4swbTQ2")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, text := range map[string]string{
		"W3C": `{"@context":["https://www.w3.org/ns/credentials/v2","https://www.w3.org/ns/credentials/examples/v2"],
			"id":"urn:uuid:58172aac-d8ba-11ed-83dd-0b3aef56cc33","type":["VerifiableCredential","AlumniCredential"],"name":"Alumni Credential",
			"description":"A minimum viable example of an Alumni Credential.","issuer":"https://vc.example/issuers/5678","validFrom":"2023-01-01T00:00:00Z",
			"credentialSubject":{"id":"did:example:abcdefgh","alumniOf":"The School of Examples"},
			"proof":{"type":"DataIntegrityProof","cryptosuite":"eddsa-jcs-2022","created":"2023-02-24T23:36:38Z",
			"verificationMethod":"did:key:z6MkrJVnaZkeFzdQyMZu1cgjg7k1pZZ6pvBQ7XJPt4swbTQ2#z6MkrJVnaZkeFzdQyMZu1cgjg7k1pZZ6pvBQ7XJPt4swbTQ2",
			"proofPurpose":"assertionMethod","@context":["https://www.w3.org/ns/credentials/v2","https://www.w3.org/ns/credentials/examples/v2"],
			"proofValue":"z2HnFSSPPBzR36zdDgK8PbEHeXbR56YF24jwMpt3R1eHXQzJDMWS93FCzpvJpwTWd3GAVFuUfjoJdcnTMuVor51aX"}}`,
		"FEP-8b32": `{"@context":["https://www.w3.org/ns/activitystreams","https://w3id.org/security/data-integrity/v1"],"type":"Create",
			"actor":"https://server.example/users/alice","object":{"type":"Note","content":"Hello world"},
			"proof":{"type":"DataIntegrityProof","cryptosuite":"eddsa-jcs-2022","verificationMethod":"https://server.example/users/alice#ed25519-key",
			"proofPurpose":"assertionMethod","proofValue":"z3sXaxjKs4M3BRicwWA9peyNPJvJqxtGsDmpt1jjoHCjgeUf71TRFz56osPSfDErszyLp5Ks1EhYSgpDaNM977Rg2",
			"created":"2023-02-24T23:36:38Z"}}`,
	} {
		doc, err := parseDocument([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := checkProof(doc, pub, now); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		doc["extra"] = "x"
		if checkProof(doc, pub, now) == nil {
			t.Errorf("%s: a changed document passes", name)
		}
	}
}

// TestCanonicalNumbers are from appendix B of RFC 8785.
func TestCanonicalNumbers(t *testing.T) {
	for bits, want := range map[uint64]string{
		0x0000000000000000: "0", 0x8000000000000000: "0", 0x0000000000000001: "5e-324", 0x7fefffffffffffff: "1.7976931348623157e+308",
		0x4340000000000000: "9007199254740992", 0xc340000000000000: "-9007199254740992", 0x4430000000000000: "295147905179352830000",
		0x44b52d02c7e14af5: "9.999999999999997e+22", 0x44b52d02c7e14af6: "1e+23", 0x444b1ae4d6e2ef4e: "999999999999999700000", 0x444b1ae4d6e2ef50: "1e+21",
		0x3eb0c6f7a0b5ed8c: "9.999999999999997e-7", 0x3eb0c6f7a0b5ed8d: "0.000001", 0x41b3de4355555555: "333333333.3333333",
		0x43143ff3c1cb0959: "1424953923781206.2",
	} {
		got, err := canonical(json.Number(strconv.FormatFloat(math.Float64frombits(bits), 'g', -1, 64)))
		if err != nil || string(got) != want {
			t.Errorf("%x: %s (%v), want %s", bits, got, err, want)
		}
	}
	doc, err := parseDocument([]byte(`{"\u20ac":"Euro","\r":"CR","1":"One","\ud83d\ude02":"Smile","\u00f6":"o","\ufb33":"Dalet","</script>":"\u000f<\u2028\""}`))
	if err != nil {
		t.Fatal(err)
	}
	got, err := canonical(doc)
	want := "{\"\\r\":\"CR\",\"1\":\"One\",\"</script>\":\"\\u000f<\u2028\\\"\",\"\u00f6\":\"o\",\"\u20ac\":\"Euro\",\"\U0001F602\":\"Smile\",\"\ufb33\":\"Dalet\"}"
	if err != nil || string(got) != want {
		t.Errorf("canonical form\n%s\nwant\n%s", got, want)
	}
}

// TestAgainstHTTPSig lets an independent implementation of the draft check our signatures.
func TestAgainstHTTPSig(t *testing.T) {
	k := testKeys()[0]
	for _, body := range [][]byte{nil, []byte(`{"a":1}`)} {
		method := http.MethodGet
		var reader *bytes.Reader
		req, _ := http.NewRequest(method, "https://remote.test/users/alice?page=true", nil)
		if body != nil {
			reader = bytes.NewReader(body)
			req, _ = http.NewRequest(http.MethodPost, "https://remote.test/inbox", reader)
			req.Header.Set("Content-Type", activityJSON)
		}
		if err := signCavage(req, body, "https://bridge.test/actor#main-key", k.RSA, time.Now()); err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Host", req.URL.Host)
		v, err := httpsig.NewVerifier(req)
		if err != nil {
			t.Fatal(err)
		}
		if v.KeyId() != "https://bridge.test/actor#main-key" {
			t.Errorf("key id %q", v.KeyId())
		}
		if err := v.Verify(k.RSA.Public().(crypto.PublicKey), httpsig.RSA_SHA256); err != nil {
			t.Errorf("body %q: %v", body, err)
		}
	}
}

// TestProve makes proofs that verify, once.
func TestProve(t *testing.T) {
	w := newWorld(t)
	body, _ := json.Marshal(note(aliceID))
	proven, err := Prove(body, aliceID, w.pairs[aliceID].Ed25519, w.clock)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.verifier.VerifyProof(t.Context(), proven, aliceID); err != nil {
		t.Error(err)
	}
	if w.verifier.VerifyProof(t.Context(), proven, malloryID) == nil {
		t.Error("proof passes for another actor")
	}
	if _, err := Prove(proven, aliceID, w.pairs[aliceID].Ed25519, w.clock); err == nil {
		t.Error("a second proof was made")
	}
}
