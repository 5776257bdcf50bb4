package activitypub

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func sink(b *testing.B) *httptest.Server {
	b.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusAccepted)
	}))
	b.Cleanup(srv.Close)
	return srv
}

// BenchmarkBareSignAndPost is the yardstick: one RSA signature and one POST over a kept connection.
func BenchmarkBareSignAndPost(b *testing.B) {
	srv := sink(b)
	key := plainRSA(testKeys()[0].RSA).(*rsa.PrivateKey)
	body := noteBody()
	for b.Loop() {
		sum := sha256.Sum256(body)
		sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
		if err != nil {
			b.Fatal(err)
		}
		req, _ := http.NewRequest(http.MethodPost, srv.URL+"/inbox", bytes.NewReader(body))
		req.Header.Set("Signature", base64.StdEncoding.EncodeToString(sig))
		resp, err := srv.Client().Do(req)
		if err != nil {
			b.Fatal(err)
		}
		drain(resp)
	}
}

// BenchmarkDeliver is a delivery by this package: goal G1 wants it near the yardstick.
func BenchmarkDeliver(b *testing.B) {
	srv := sink(b)
	for _, s := range schemes {
		b.Run(string(s), func(b *testing.B) {
			w := &world{pairs: map[identityID]KeyPair{copyID: testKeys()[0]}}
			client := NewClient(ClientOptions{HTTP: srv.Client(), Keys: w, Instance: copyID, Now: time.Now})
			client.o.Hosts.Remember(b.Context(), srv.Listener.Addr().String(), s)
			body := noteBody()
			for b.Loop() {
				if err := client.post(b.Context(), Delivery{Inbox: srv.URL + "/inbox", From: copyID, Body: body}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkInbox is an accepted activity without what the InboxFunc does.
func BenchmarkInbox(b *testing.B) {
	for _, s := range schemes {
		b.Run(string(s), func(b *testing.B) {
			w := benchWorld(b)
			body := noteBody()
			r := w.post("/inbox", body, aliceID, s)
			for b.Loop() {
				again := r.Clone(b.Context())
				again.Body = io.NopCloser(bytes.NewReader(body))
				w.verifier.replay.clear()
				if rec := w.do(again); rec.Code != http.StatusAccepted {
					b.Fatal(rec.Code)
				}
				w.accepted = w.accepted[:0]
			}
		})
	}
}

// BenchmarkVerify is the signature check alone.
func BenchmarkVerify(b *testing.B) {
	w := benchWorld(b)
	body := noteBody()
	r := w.post("/inbox", body, aliceID, SchemeCavage)
	for b.Loop() {
		if _, err := w.verifier.Verify(b.Context(), r, body); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkParseDocument reads an ordinary Create.
func BenchmarkParseDocument(b *testing.B) {
	body := noteBody()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, err := parseDocument(body); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkUnmarshal is encoding/json on the same, without our checks.
func BenchmarkUnmarshal(b *testing.B) {
	body := noteBody()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		var m map[string]any
		if err := json.Unmarshal(body, &m); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSign is the signature alone; with the tag openssl goal G2 shows here.
func BenchmarkSign(b *testing.B) {
	key := testKeys()[0].RSA
	sum := sha256.Sum256(noteBody())
	for b.Loop() {
		if _, err := key.Sign(rand.Reader, sum[:], crypto.SHA256); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkParseKeyPair is what the key cache saves for each delivery.
func BenchmarkParseKeyPair(b *testing.B) {
	text, err := MarshalKeyPair(testKeys()[0])
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := ParseKeyPair(text); err != nil {
			b.Fatal(err)
		}
	}
}
