package atproto_test

import (
	"context"
	"errors"
	"fmt"
	"footbridge/atproto"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bluesky-social/indigo/atproto/syntax"
)

const someDID = syntax.DID("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")

// fakeWeb answers https requests by "host/path" and counts them.
type fakeWeb struct {
	mu      sync.Mutex
	pages   map[string]string
	asked   map[string]int
	blocked chan struct{} // when set, requests wait for it
}

func (f *fakeWeb) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	key := host + r.URL.Path
	if f.asked == nil {
		f.asked = map[string]int{}
	}
	f.asked[key]++
	page, ok := f.pages[key]
	wait := f.blocked
	f.mu.Unlock()
	if wait != nil {
		select {
		case <-wait:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	w := httptest.NewRecorder()
	switch {
	case !ok:
		w.WriteHeader(http.StatusNotFound)
	case page == "500":
		w.WriteHeader(http.StatusInternalServerError)
	default:
		_, _ = w.WriteString(page)
	}
	return w.Result(), nil
}

func (f *fakeWeb) set(key, page string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pages[key] = page
}

func (f *fakeWeb) count(key string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[key]
}

func noTXT(context.Context, string) ([]string, error) { return nil, &net.DNSError{IsNotFound: true} }

func newWeb(t *testing.T, txt func(context.Context, string) ([]string, error)) (*fakeWeb, *atproto.Resolver, *atomic.Int64) {
	t.Helper()
	web := &fakeWeb{pages: map[string]string{}}
	now := new(atomic.Int64)
	now.Store(1_700_000_000)
	if txt == nil {
		txt = noTXT
	}
	r := atproto.NewResolver(atproto.ResolverOptions{
		Client: &http.Client{Transport: web}, PLC: "https://plc.example", LookupTXT: txt,
		Now: func() time.Time { return time.Unix(now.Load(), 0) },
	})
	return web, r, now
}

func doc(did syntax.DID, handle, pds string) string {
	return fmt.Sprintf(`{"id":%q,"alsoKnownAs":["https://elsewhere.example","at://%s","at://second.example.com"],
		"verificationMethod":[{"id":"%s#atproto","type":"Multikey","controller":%q,"publicKeyMultibase":"zQ3shXjHeiBuRCKmM36cuYnm7YEMzhGnCmCyW92sRJ9pribSF"}],
		"service":[{"id":"#atproto_pds","type":"AtprotoPersonalDataServer","serviceEndpoint":%q}]}`, did, handle, did, did, pds)
}

func TestResolveBothWays(t *testing.T) {
	web, r, _ := newWeb(t, nil)
	web.set("plc.example/"+string(someDID), doc(someDID, "Anna.Example.com", "https://pds.example.com/"))
	web.set("anna.example.com/.well-known/atproto-did", " "+string(someDID)+"\n")
	id, err := r.ResolveDID(t.Context(), someDID)
	if err != nil {
		t.Fatal(err)
	}
	want := atproto.Identity{DID: someDID, Handle: "anna.example.com", PDS: "https://pds.example.com", Key: "did:key:zQ3shXjHeiBuRCKmM36cuYnm7YEMzhGnCmCyW92sRJ9pribSF"}
	if id != want {
		t.Errorf("got %+v", id)
	}
	if found, err := r.Lookup(t.Context(), "anna.example.com"); err != nil || found != want {
		t.Errorf("by handle: %+v, %v", found, err)
	}
}

// What makes a handle count as invalid is no error of the DID.
func TestHandleInvalid(t *testing.T) {
	const well = "anna.example.com/.well-known/atproto-did"
	cases := map[string]struct {
		handle, page string
		txt          []string
	}{
		"nowhere":              {"anna.example.com", "", nil},
		"points to another":    {"anna.example.com", "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb", nil},
		"empty answer":         {"anna.example.com", " ", nil},
		"a web page":           {"anna.example.com", "<html>", nil},
		"endless answer":       {"anna.example.com", strings.Repeat(string(someDID), 1000), nil},
		"reserved domain":      {"anna.local", string(someDID), nil},
		"no handle at all":     {"", string(someDID), nil},
		"two DIDs in DNS":      {"anna.example.com", string(someDID), []string{"did=" + string(someDID), "did=did:plc:bbbbbbbbbbbbbbbbbbbbbbbb"}},
		"DNS goes before HTTP": {"anna.example.com", string(someDID), []string{"did=did:plc:bbbbbbbbbbbbbbbbbbbbbbbb"}},
		"server error":         {"anna.example.com", "500", nil},
	}
	for name, c := range cases {
		web, r, _ := newWeb(t, func(ctx context.Context, name string) ([]string, error) {
			if c.txt == nil {
				return noTXT(ctx, name)
			}
			return c.txt, nil
		})
		web.set("plc.example/"+string(someDID), strings.ReplaceAll(doc(someDID, c.handle, "https://pds.example.com"), `"at://second.example.com"`, `"x:y"`))
		if c.page != "" {
			web.set(well, c.page)
		}
		id, err := r.ResolveDID(t.Context(), someDID)
		if err != nil || id.Handle != syntax.HandleInvalid || id.PDS != "https://pds.example.com" {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
		if did, err := r.ResolveHandle(t.Context(), "anna.example.com"); err == nil && did == "" {
			t.Errorf("%s: an empty DID without an error", name)
		}
	}
}

func TestDNSAnswersWithForeignRecords(t *testing.T) {
	_, r, _ := newWeb(t, func(ctx context.Context, name string) ([]string, error) {
		if name != "_atproto.anna.example.com" {
			return noTXT(ctx, name)
		}
		return []string{"v=spf1 -all", "did=", "did=" + string(someDID), "did=" + string(someDID)}, nil
	})
	if did, err := r.ResolveHandle(t.Context(), "ANNA.example.com"); err != nil || did != someDID {
		t.Errorf("%q, %v", did, err)
	}
}

func TestDIDsThatAreRefused(t *testing.T) {
	web, r, _ := newWeb(t, nil)
	web.set("plc.example/"+string(someDID), doc("did:plc:bbbbbbbbbbbbbbbbbbbbbbbb", "x.example.com", "https://p.example.com"))
	for _, did := range []syntax.DID{
		"", "did:plc:short", "did:key:zabc", "did:web:localhost", "did:web:127.0.0.1", "did:web:10.0.0.1", "did:web:host.internal",
		"did:web:example.com%3A8080", "did:web:example.com:user:anna", someDID, "did:web:a.example.com%2fx",
	} {
		if id, err := r.ResolveDID(t.Context(), did); err == nil {
			t.Errorf("%q resolved to %+v", did, id)
		}
	}
	web.set("did.example.com/.well-known/did.json", doc("did:web:did.example.com", "did.example.com", "https://p.example.com"))
	if _, err := r.ResolveDID(t.Context(), "did:web:did.example.com"); err != nil {
		t.Errorf("a good did:web: %v", err)
	}
	web.set("plc.example/"+string(someDID), strings.Repeat(" ", 300<<10)+doc(someDID, "x.example.com", "https://p.example.com"))
	if _, err := r.ResolveDID(t.Context(), someDID); err == nil {
		t.Error("an endless document was read")
	}
}

// Hosts and keys that a document must not have are not taken from it.
func TestDocumentParts(t *testing.T) {
	for name, pds := range map[string]string{
		"http": "http://pds.example.com", "with a path": "https://pds.example.com/x", "with a user": "https://u:p@pds.example.com", "no URL": "pds",
		"with a query": "https://pds.example.com/?a=b",
	} {
		web, r, _ := newWeb(t, nil)
		web.set("plc.example/"+string(someDID), doc(someDID, "x.example.com", pds))
		if id, err := r.ResolveDID(t.Context(), someDID); err != nil || id.PDS != "" {
			t.Errorf("%s: %q, %v", name, id.PDS, err)
		}
	}
	web, r, _ := newWeb(t, nil)
	web.set("plc.example/"+string(someDID), strings.Replace(doc(someDID, "x.example.com", "https://p.example.com"),
		`"controller":"`+string(someDID), `"controller":"did:plc:bbbbbbbbbbbbbbbbbbbbbbbb`, 1))
	if id, err := r.ResolveDID(t.Context(), someDID); err != nil || id.Key != "" {
		t.Errorf("a key of another controller: %q, %v", id.Key, err)
	}
	if _, err := r.PublicKey(t.Context(), someDID); !errors.Is(err, atproto.ErrNotFound) {
		t.Errorf("no key: %v", err)
	}
}

// A caller who goes away neither spoils the answer for others nor is remembered.
func TestCancelledCallerIsNotRemembered(t *testing.T) {
	web, r, _ := newWeb(t, nil)
	web.set("plc.example/"+string(someDID), doc(someDID, "x.example.com", "https://p.example.com"))
	gate := make(chan struct{})
	web.mu.Lock()
	web.blocked = gate
	web.mu.Unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.ResolveDID(ctx, someDID); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v", err)
	}
	results := make(chan error, 10)
	for range 10 {
		go func() {
			_, err := r.ResolveDID(t.Context(), someDID)
			results <- err
		}()
	}
	close(gate)
	for range 10 {
		if err := <-results; err != nil {
			t.Errorf("a patient caller: %v", err)
		}
	}
	if n := web.count("plc.example/" + string(someDID)); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestCacheAndPurge(t *testing.T) {
	web, r, now := newWeb(t, nil)
	key := "plc.example/" + string(someDID)
	if _, err := r.ResolveDID(t.Context(), someDID); !errors.Is(err, atproto.ErrNotFound) {
		t.Fatalf("%v", err)
	}
	web.set(key, "500")
	if _, err := r.ResolveDID(t.Context(), someDID); !errors.Is(err, atproto.ErrNotFound) || web.count(key) != 1 {
		t.Errorf("a miss is kept for a minute: %v after %d", err, web.count(key))
	}
	now.Add(61)
	for range 2 {
		if _, err := r.ResolveDID(t.Context(), someDID); err == nil || errors.Is(err, atproto.ErrNotFound) {
			t.Errorf("%v", err)
		}
	}
	if web.count(key) != 3 {
		t.Errorf("an outage was remembered: asked %d times", web.count(key))
	}
	web.set(key, doc(someDID, "x.example.com", "https://one.example.com"))
	web.set("x.example.com/.well-known/atproto-did", string(someDID))
	for range 3 {
		if id, err := r.ResolveDID(t.Context(), someDID); err != nil || id.PDS != "https://one.example.com" {
			t.Fatalf("%+v, %v", id, err)
		}
	}
	web.set(key, doc(someDID, "y.example.com", "https://two.example.com"))
	web.set("y.example.com/.well-known/atproto-did", string(someDID))
	if id, _ := r.ResolveDID(t.Context(), someDID); id.PDS != "https://one.example.com" || web.count(key) != 4 {
		t.Errorf("not kept: %+v", id)
	}
	r.Purge(someDID)
	if id, _ := r.ResolveDID(t.Context(), someDID); id.PDS != "https://two.example.com" || id.Handle != "y.example.com" {
		t.Errorf("not forgotten: %+v", id)
	}
	now.Add(3601)
	if _, err := r.ResolveDID(t.Context(), someDID); err != nil || web.count(key) != 6 {
		t.Errorf("kept for ever: %v, %d", err, web.count(key))
	}
}
