package activitypub

import (
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fill repeats s to nearly the size limit of a document.
func fill(s string, limit int) string { return strings.Repeat(s, limit/len(s)) }

// bombs are small inputs that cost much to a careless reader.
func bombs() map[string]func(w *world) {
	out := map[string]func(w *world){}
	for name, body := range documentBombs() {
		out["inbox "+name] = func(w *world) { w.do(w.post("/inbox", []byte(body), aliceID, SchemeRFC9421)) }
		out["fetched "+name] = func(w *world) {
			w.docs["https://a.test/1"] = answer{status: 200, mime: activityJSON, body: body}
			_, _ = w.client.Object(w.t.Context(), "https://a.test/1")
		}
		out["actor "+name] = func(w *world) {
			w.serve(string(aliceID), body)
			w.do(good(w, SchemeCavage))
		}
	}
	for name, header := range map[string]string{
		"commas": fill(",", 60000), "pairs": fill(`a="b",`, 60000), "labels": fill("a=(),", 60000), "components": "sig1=(" + fill(`"a" `, 60000) + ")",
		"params": "sig1=()" + fill(";a", 60000), "escapes": `sig1=("` + fill(`\\`, 60000) + `")`, "open": fill("(", 60000), "base64": "sig1=:" + fill("AAAA", 60000) + ":",
		"integer": "sig1=();created=" + fill("9", 60000), "spaces": "sig1=(" + fill(" ", 60000) + ")",
	} {
		out["Signature "+name] = func(w *world) {
			r := good(w, SchemeCavage)
			r.Header.Set("Signature", header)
			w.do(r)
		}
		out["Signature-Input "+name] = func(w *world) {
			r := good(w, SchemeRFC9421)
			r.Header.Set("Signature-Input", header)
			w.do(r)
		}
	}
	out["digest list"] = func(w *world) {
		r := good(w, SchemeCavage)
		r.Header.Set("Digest", fill("sha-256=AAAA,", 60000))
		w.do(r)
	}
	out["host-meta entities"] = func(w *world) {
		w.docs["https://x.test/.well-known/host-meta"] = answer{status: 200, mime: "application/xrd+xml", body: xml.Header + `<!DOCTYPE a [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><XRD>` + fill("&b;", 500000) + `</XRD>`}
		_, _ = w.client.WebFinger(w.t.Context(), "a@x.test")
	}
	out["host-meta depth"] = func(w *world) {
		w.docs["https://x.test/.well-known/host-meta"] = answer{status: 200, mime: "application/xrd+xml", body: fill("<a>", 900000)}
		_, _ = w.client.WebFinger(w.t.Context(), "a@x.test")
	}
	return out
}

func documentBombs() map[string]string {
	const n = 1 << 20
	head := `{"id":"https://remote.test/users/alice","type":"Create","actor":"https://remote.test/users/alice","object":`
	return map[string]string{
		"objects":       head + "[" + strings.TrimSuffix(fill(`{"a":0},`, n-200), ",") + "]}",
		"empty objects": head + "[" + strings.TrimSuffix(fill(`{},`, n-200), ",") + "]}",
		"empty arrays":  head + "[" + strings.TrimSuffix(fill(`[],`, n-200), ",") + "]}",
		"numbers":       head + "[" + strings.TrimSuffix(fill(`1,`, n-200), ",") + "]}",
		"depth":         head + fill("[", (n-200)/2) + fill("]", (n-200)/2) + "}",
		"object depth":  head + fill(`{"a":`, n-200),
		"one string":    head + `"` + fill("x", n-200) + `"}`,
		"escapes":       head + `"` + fill(`\u0000`, n-200) + `"}`,
		"keys":          head + "{" + manyKeys(60000) + "}}",
		"digits":        head + fill("9", n-200) + "}",
		"exponent":      head + "1e999999999}",
		"whitespace":    head + fill(" ", n-200) + "1}",
		"too long":      head + `"` + fill("x", n) + `"}`,
		"keys of actor": `{"id":"https://remote.test/users/alice","type":"Person","inbox":"https://remote.test/users/alice/inbox","publicKey":[` + strings.TrimSuffix(fill(`{"id":"https://remote.test/users/alice#main-key"},`, 400000), ",") + `]}`,
		"giant PEM":     `{"id":"https://remote.test/users/alice","type":"Person","inbox":"https://remote.test/users/alice/inbox","publicKey":{"id":"https://remote.test/users/alice#main-key","publicKeyPem":"-----BEGIN PUBLIC KEY-----\n` + base64.StdEncoding.EncodeToString(make([]byte, 700000)) + `\n-----END PUBLIC KEY-----"}}`,
		"giant base58":  `{"id":"https://remote.test/users/alice","type":"Person","inbox":"https://remote.test/users/alice/inbox","assertionMethod":{"id":"https://remote.test/users/alice#main-key","publicKeyMultibase":"z` + fill("z", 900000) + `"}}`,
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"k%d":0`, i)
	}
	return b.String()
}

// cpu is what the process has used so far; the wall clock would measure the neighbours.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestR96_Bombs: each costs at most 64 MiB and a second, and nothing is believed.
func TestR96_Bombs(t *testing.T) {
	list := bombs()
	if len(list) < 60 {
		t.Errorf("only %d bombs", len(list))
	}
	for name, light := range list {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := cpu(t)
			light(w)
			took := cpu(t) - start
			runtime.ReadMemStats(&after)
			if mib := (after.TotalAlloc - before.TotalAlloc) >> 20; mib > 64 {
				t.Errorf("%d MiB were allocated", mib)
			}
			if took > time.Second {
				t.Errorf("took %v of a processor", took)
			}
			if len(w.accepted) > 0 {
				t.Errorf("accepted %.100v", w.accepted)
			}
		})
	}
}

// FuzzSignature: whatever is in the headers of a request, verifying ends without a panic and proves nothing.
func FuzzSignature(f *testing.F) {
	f.Add(`keyId="https://remote.test/users/alice#main-key",algorithm="rsa-sha256",headers="(request-target) host date digest",signature="eA=="`, "", "SHA-256=AAAA")
	f.Add(`sig1=:eA==:`, `sig1=("@method" "@target-uri" "content-digest");created=1795521600;keyid="https://remote.test/users/alice#main-key";alg="ed25519"`, "sha-256=:AAAA:")
	f.Add(`keyId="a",created=1,expires=2`, "", "")
	f.Add(`sig1=:eA==:;a`, `sig1=("a";sf "b\"");x=?1;y=-5`, `sha-256=:AAAA:;a`)
	f.Fuzz(func(t *testing.T, signature, input, digest string) {
		w := newWorld(t)
		r := good(w, SchemeCavage)
		r.Header.Set("Signature", signature)
		r.Header.Set("Digest", digest)
		r.Header.Set("Content-Digest", digest)
		if input != "" {
			r.Header.Set("Signature-Input", input)
		}
		if rec := w.do(r); rec.Code == http.StatusAccepted {
			t.Errorf("accepted with %q %q %q", signature, input, digest)
		}
	})
}

// FuzzDictionary: what parses is rebuilt from its own text to the same thing.
func FuzzDictionary(f *testing.F) {
	for _, s := range []string{`sig1=("@method" "@path");created=1;keyid="a"`, `a=:AAAA:, b=:BBBB:`, `a=("x";sf);n=?0`, "a=(", "a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		dict, err := parseDictionary(s)
		if err != nil {
			return
		}
		var again []string
		for _, m := range dict {
			again = append(again, m.key+"="+m.raw)
		}
		back, err := parseDictionary(strings.Join(again, ", "))
		if err != nil || len(back) != len(dict) {
			t.Errorf("%q: %v", s, err)
		}
	})
}

// FuzzDocument: what is read has a canonical form that is read again to the same form.
func FuzzDocument(f *testing.F) {
	for _, s := range []string{`{"a":1.50,"b":[true,null,"\u20ac"]}`, `{"id":"x","type":["Note"],"@context":{"as":"y"}}`, `{"a":1e400}`, `{"a":"\ud800"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		doc, err := parseDocument(raw)
		if err != nil {
			return
		}
		_ = checkContexts(doc)
		_, _ = Authority{}.vet(t.Context(), doc, raw, aliceID)
		_, _ = ParseActor(raw)
		first, err := canonical(doc)
		if err != nil {
			return
		}
		again, err := parseDocument(first)
		if err != nil {
			t.Fatalf("canonical form of %q is not read: %v", raw, err)
		}
		second, err := canonical(again)
		if err != nil || string(first) != string(second) {
			t.Errorf("%q: %q and %q", raw, first, second)
		}
	})
}

// FuzzAcct: what is taken for an address has two clean parts.
func FuzzAcct(f *testing.F) {
	for _, s := range []string{"acct:a@b.test", "@a@b", "a@b@c", "a@\u0435.test", "a@b:8080"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		user, host, err := SplitAcct(s)
		if err == nil && (user == "" || host == "" || strings.ContainsAny(user+host, "/?#@ ") || strings.ToLower(host) != host) {
			t.Errorf("%q: %q, %q", s, user, host)
		}
	})
}

// FuzzHostMeta: whatever a host serves, WebFinger ends.
func FuzzHostMeta(f *testing.F) {
	f.Add([]byte(`<XRD><Link rel="lrdd" template="https://x.test/{uri}"/></XRD>`), []byte(`{"subject":"acct:a@x.test","links":[]}`))
	f.Fuzz(func(t *testing.T, meta, jrdBody []byte) {
		w := newWorld(t)
		w.docs["https://x.test/.well-known/host-meta"] = answer{status: 200, mime: "application/xrd+xml", body: string(meta)}
		w.docs["https://x.test/acct%3Aa%40x.test"] = answer{status: 200, mime: "application/jrd+json", body: string(jrdBody)}
		if id, err := w.client.WebFinger(t.Context(), "a@x.test"); err == nil && id.Host() == "" {
			t.Errorf("an actor without a host: %q", id)
		}
	})
}
