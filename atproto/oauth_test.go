package atproto_test

import (
	"encoding/json"
	"errors"
	"footbridge/atproto"
	"footbridge/atproto/atprototest"
	"footbridge/bridge/store"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/bluesky-social/indigo/atproto/atcrypto"
	"github.com/bluesky-social/indigo/atproto/auth/oauth"
)

// plainSealer marks what it seals, so that a test sees whether it was used.
type plainSealer struct{}

func (plainSealer) Seal(_, row string, plain []byte) ([]byte, error) {
	out := []byte("sealed " + row + " ")
	for _, b := range plain {
		out = append(out, ^b)
	}
	return out, nil
}

func (plainSealer) Open(_, row string, sealed []byte) ([]byte, error) {
	rest, ok := strings.CutPrefix(string(sealed), "sealed "+row+" ")
	if !ok {
		return nil, errors.New("sealed for another row")
	}
	out := []byte(rest)
	for i := range out {
		out[i] = ^out[i]
	}
	return out, nil
}

const clientID = "https://bridge.example/oauth/client-metadata.json"

// metadataServer answers requests for the client metadata document.
type metadataServer struct{ doc func() any }

func (m metadataServer) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	if r.URL.String() != clientID {
		w.WriteHeader(http.StatusNotFound)
	} else if err := json.NewEncoder(w).Encode(m.doc()); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

type oauthRig struct {
	*rig
	client *atproto.OAuth
	anna   *atprototest.Account
}

func newOAuthRig(t *testing.T, confidential bool) *oauthRig {
	r := newRig(t, atprototest.Options{})
	r.net.PDS.GoPublic("pds.test")
	r.resolver = atproto.NewResolver(atproto.ResolverOptions{
		Client: &http.Client{Transport: r.net.Transport(http.DefaultTransport), Timeout: 5 * time.Second},
		PLC:    r.net.PLC.URL(), HandleURL: r.net.HandleURL,
	})
	o := atproto.OAuthOptions{
		ClientID: clientID, Callback: "https://bridge.example/signin/bluesky/return", Name: "Footbridge",
		Resolver: r.resolver, Store: store.Room[atproto.Tx]{DB: r.db}, Sealer: plainSealer{},
	}
	if confidential {
		key, err := atcrypto.GeneratePrivateKeyP256()
		r.ok(err)
		o.Key = key
	}
	client, err := atproto.NewOAuth(o)
	r.ok(err)
	r.net.PDS.ReadClients(metadataServer{client.ClientMetadata})
	return &oauthRig{rig: r, client: client, anna: r.account("anna")}
}

func TestOAuthSignIn(t *testing.T) {
	for _, confidential := range []bool{false, true} {
		r := newOAuthRig(t, confidential)
		for _, typed := range []string{"@anna.pds.test ", r.anna.DID, "at://Anna.pds.test"} {
			redirect, state, err := r.client.Start(t.Context(), typed)
			if err != nil {
				t.Fatalf("confidential %v, %q: %v", confidential, typed, err)
			}
			if !strings.HasPrefix(redirect, "https://pds.test/oauth/authorize?") || state == "" {
				t.Errorf("redirect %q, state %q", redirect, state)
			}
			back, err := r.net.PDS.Authorize(redirect, r.anna)
			r.ok(err)
			if back.Get("state") != state {
				t.Errorf("state %q came back as %q", state, back.Get("state"))
			}
			did, err := r.client.Finish(t.Context(), back)
			if err != nil || string(did) != r.anna.DID {
				t.Errorf("%q: %q, %v", typed, did, err)
			}
			if _, err := r.client.Finish(t.Context(), back); err == nil {
				t.Error("a state worked twice")
			}
		}
		if n := r.net.PDS.LiveTokens(); n != 0 {
			t.Errorf("%d tokens were not given back", n)
		}
	}
}

func TestOAuthRefusals(t *testing.T) {
	r := newOAuthRig(t, true)
	bert := r.account("bert")
	start := func() string {
		redirect, _, err := r.client.Start(t.Context(), "anna.pds.test")
		r.ok(err)
		return redirect
	}
	finish := func(who *atprototest.Account, change func(url.Values)) error {
		back, err := r.net.PDS.Authorize(start(), who)
		r.ok(err)
		change(back)
		did, err := r.client.Finish(t.Context(), back)
		if err == nil {
			t.Logf("signed in as %s", did)
		}
		return err
	}
	keep := func(url.Values) {}
	if err := finish(r.anna, keep); err != nil {
		t.Errorf("the honest way: %v", err)
	}
	var denied *oauth.AuthRequestCallbackError
	if err := finish(nil, keep); !errors.As(err, &denied) || denied.ErrorCode != "access_denied" {
		t.Errorf("who said no: %v", err)
	}
	for name, c := range map[string]struct {
		who    *atprototest.Account
		change func(url.Values)
	}{
		"another account than asked for": {bert, keep},
		"another state":                  {r.anna, func(v url.Values) { v.Set("state", "mine") }},
		"no state":                       {r.anna, func(v url.Values) { v.Del("state") }},
		"another issuer":                 {r.anna, func(v url.Values) { v.Set("iss", "https://evil.test") }},
		"another code":                   {r.anna, func(v url.Values) { v.Set("code", "x") }},
	} {
		if err := finish(c.who, c.change); err == nil {
			t.Errorf("%s signed in", name)
		}
	}
	for _, typed := range []string{"", "anna", "https://pds.test", "nobody.pds.test", "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", "anna@pds.test"} {
		if redirect, _, err := r.client.Start(t.Context(), typed); err == nil {
			t.Errorf("%q led to %s", typed, redirect)
		}
	}
}

// A sign-in that is never finished leaves only sealed bytes, and those not for long.
func TestOAuthLeavesNothing(t *testing.T) {
	r := newOAuthRig(t, false)
	_, state, err := r.client.Start(t.Context(), "anna.pds.test")
	r.ok(err)
	blob := func() []byte {
		var out []byte
		r.ok(r.sink.db.View(t.Context(), func(tx atproto.Tx) error {
			b, err := tx.OAuthBlob(state)
			if errors.Is(err, atproto.ErrNotFound) {
				return nil
			}
			out = b
			return err
		}))
		return out
	}
	if b := string(blob()); !strings.HasPrefix(b, "sealed ") || strings.Contains(b, "pkce") {
		t.Errorf("kept in the clear: %q", b)
	}
	r.ok(r.sink.db.Update(t.Context(), func(tx atproto.Tx) error { return tx.PutOAuthBlob(state, []byte("x"), 1) }))
	if b := blob(); b != nil {
		t.Errorf("expired, and still there: %q", b)
	}
	r.ok(r.client.Sweep(t.Context()))
}

func TestOAuthSickServer(t *testing.T) {
	r := newOAuthRig(t, false)
	r.net.PDS.Fail(http.StatusBadGateway)
	if _, _, err := r.client.Start(t.Context(), "anna.pds.test"); err == nil {
		t.Error("a sick server began a sign-in")
	}
}
