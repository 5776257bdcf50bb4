package atprototest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/bluesky-social/indigo/atproto/atcrypto"
)

// authServer is the OAuth server of a PDS: https://atproto.com/specs/oauth. It insists on PAR, PKCE and DPoP with a nonce of
// its own, and reads the client's metadata document.
type authServer struct {
	pds  *PDS
	http *http.Client // fetches client metadata; nil skips it

	mu       sync.Mutex
	requests map[string]*authRequest // by request_uri
	codes    map[string]*authRequest
	tokens   map[string]bool // token to whether it is live
	jtis     map[string]bool
}

type authRequest struct {
	form url.Values
	key  string // thumbprint of the DPoP key
	sub  string
}

const dpopNonce = "the-only-nonce"

func (s *authServer) routes(mux *http.ServeMux) {
	s.requests, s.codes = map[string]*authRequest{}, map[string]*authRequest{}
	s.tokens, s.jtis = map[string]bool{}, map[string]bool{}
	mux.HandleFunc("GET /.well-known/oauth-protected-resource", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, map[string]any{"resource": s.pds.public(), "authorization_servers": []string{s.pds.public()}})
	})
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, s.metadata()) })
	mux.HandleFunc("POST /oauth/par", s.formHandler(s.par))
	mux.HandleFunc("POST /oauth/token", s.formHandler(s.token))
	mux.HandleFunc("POST /oauth/revoke", s.formHandler(s.revoke))
}

func (s *authServer) metadata() map[string]any {
	base := s.pds.public()
	return map[string]any{
		"issuer": base, "authorization_endpoint": base + "/oauth/authorize", "token_endpoint": base + "/oauth/token",
		"pushed_authorization_request_endpoint": base + "/oauth/par", "revocation_endpoint": base + "/oauth/revoke",
		"response_types_supported": []string{"code"}, "grant_types_supported": []string{"authorization_code", "refresh_token"},
		"code_challenge_methods_supported":                 []string{"S256"},
		"token_endpoint_auth_methods_supported":            []string{"none", "private_key_jwt"},
		"token_endpoint_auth_signing_alg_values_supported": []string{"ES256"}, "dpop_signing_alg_values_supported": []string{"ES256"},
		"scopes_supported": []string{"atproto"}, "authorization_response_iss_parameter_supported": true,
		"require_pushed_authorization_requests": true, "client_id_metadata_document_supported": true,
	}
}

// formHandler checks the DPoP proof and the client before the handler sees the form.
func (s *authServer) formHandler(f func(form url.Values, thumb string) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("DPoP-Nonce", dpopNonce)
		fail := func(name string, err error) {
			xrpcError(w, http.StatusBadRequest, name, err.Error())
		}
		thumb, err := s.dpop(r)
		if err != nil {
			fail(err.Error(), err)
			return
		}
		if err := r.ParseForm(); err != nil {
			fail("invalid_request", err)
			return
		}
		if err := s.client(r.Context(), r.PostForm); err != nil {
			fail("invalid_client", err)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		out, err := f(r.PostForm, thumb)
		if err != nil {
			fail("invalid_grant", err)
			return
		}
		writeJSON(w, out)
	}
}

// dpop checks the proof (RFC 9449) and returns the thumbprint of its key. The error is the OAuth error code.
func (s *authServer) dpop(r *http.Request) (string, error) {
	parts := strings.Split(r.Header.Get("DPoP"), ".")
	if len(parts) != 3 {
		return "", errors.New("invalid_dpop_proof")
	}
	var head struct {
		Typ, Alg string
		JWK      atcrypto.JWK
	}
	var body struct{ Jti, Htm, Htu, Nonce string }
	if decodePart(parts[0], &head) != nil || decodePart(parts[1], &body) != nil || head.Typ != "dpop+jwt" || head.Alg != "ES256" {
		return "", errors.New("invalid_dpop_proof")
	}
	if verifyJWT(parts, head.JWK) != nil || body.Htm != r.Method || body.Htu != s.pds.public()+r.URL.Path {
		return "", errors.New("invalid_dpop_proof")
	}
	if body.Nonce != dpopNonce {
		return "", errors.New("use_dpop_nonce")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if body.Jti == "" || s.jtis[body.Jti] {
		return "", errors.New("invalid_dpop_proof")
	}
	s.jtis[body.Jti] = true
	return head.JWK.X + head.JWK.Y, nil
}

func verifyJWT(parts []string, jwk atcrypto.JWK) error {
	key, err := atcrypto.ParsePublicJWK(jwk)
	if err != nil {
		return err
	}
	sig, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return err
	}
	return key.HashAndVerifyLenient([]byte(parts[0]+"."+parts[1]), sig)
}

// client reads the metadata document and, for a confidential client, checks its assertion.
func (s *authServer) client(ctx context.Context, form url.Values) error {
	if s.http == nil {
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, form.Get("client_id"), nil)
	if err != nil {
		return err
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	var doc struct {
		ClientID string   `json:"client_id"`
		Uris     []string `json:"redirect_uris"`
		Scope    string   `json:"scope"`
		DPoP     bool     `json:"dpop_bound_access_tokens"`
		Method   string   `json:"token_endpoint_auth_method"`
		JWKS     struct {
			Keys []atcrypto.JWK `json:"keys"`
		} `json:"jwks"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&doc); err != nil {
		return err
	}
	switch {
	case doc.ClientID != form.Get("client_id") || !doc.DPoP || !strings.Contains(" "+doc.Scope+" ", " atproto "):
		return errors.New("the metadata document does not fit")
	case form.Get("redirect_uri") != "" && !slices.Contains(doc.Uris, form.Get("redirect_uri")):
		return errors.New("redirect_uri is not in the metadata document")
	case doc.Method == "private_key_jwt":
		return checkAssertion(form.Get("client_assertion"), doc.ClientID, s.pds.public(), doc.JWKS.Keys)
	}
	return nil
}

func checkAssertion(token, client, issuer string, keys []atcrypto.JWK) error {
	parts := strings.Split(token, ".")
	if len(parts) != 3 || len(keys) == 0 {
		return errors.New("no client assertion, or no keys")
	}
	var body struct {
		Iss, Sub string
		Aud      any
	}
	if err := decodePart(parts[1], &body); err != nil {
		return err
	}
	if body.Iss != client || body.Sub != client || !strings.Contains(fmt.Sprint(body.Aud), issuer) {
		return errors.New("the client assertion is for another")
	}
	return verifyJWT(parts, keys[0])
}

func (s *authServer) par(form url.Values, thumb string) (any, error) {
	if form.Get("response_type") != "code" || form.Get("code_challenge_method") != "S256" || form.Get("code_challenge") == "" ||
		form.Get("state") == "" || !slices.Contains(strings.Fields(form.Get("scope")), "atproto") {
		return nil, errors.New("a parameter is missing")
	}
	uri := "urn:ietf:params:oauth:request_uri:" + randomText()
	s.requests[uri] = &authRequest{form: form, key: thumb}
	return map[string]any{"request_uri": uri, "expires_in": 60}, nil
}

func randomText() string {
	raw := make([]byte, 16)
	if _, err := rand.Read(raw); err != nil {
		panic(err) // never fails
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// Authorize is the person at their own server: they followed the redirect, and said yes as who, or no as nobody (nil). It
// returns the query that the browser takes back to the client.
func (p *PDS) Authorize(redirect string, who *Account) (url.Values, error) {
	u, err := url.Parse(redirect)
	if err != nil {
		return nil, err
	}
	s := p.oauth
	s.mu.Lock()
	defer s.mu.Unlock()
	req, ok := s.requests[u.Query().Get("request_uri")]
	if !ok || u.Query().Get("client_id") != req.form.Get("client_id") {
		return nil, errors.New("no such request")
	}
	delete(s.requests, u.Query().Get("request_uri"))
	back := url.Values{"state": {req.form.Get("state")}, "iss": {p.public()}}
	if who == nil {
		back.Set("error", "access_denied")
		return back, nil
	}
	req.sub = who.DID
	code := randomText()
	s.codes[code] = req
	back.Set("code", code)
	return back, nil
}

func (s *authServer) token(form url.Values, thumb string) (any, error) {
	req, ok := s.codes[form.Get("code")]
	if !ok {
		return nil, errors.New("no such code")
	}
	delete(s.codes, form.Get("code"))
	sum := sha256.Sum256([]byte(form.Get("code_verifier")))
	switch {
	case base64.RawURLEncoding.EncodeToString(sum[:]) != req.form.Get("code_challenge"):
		return nil, errors.New("code_verifier does not fit")
	case thumb != req.key:
		return nil, errors.New("another DPoP key")
	case form.Get("redirect_uri") != req.form.Get("redirect_uri"):
		return nil, errors.New("another redirect_uri")
	}
	access, refresh := randomText(), randomText()
	s.tokens[access], s.tokens[refresh] = true, true
	return map[string]any{
		"access_token": access, "refresh_token": refresh, "token_type": "DPoP", "expires_in": 300, "scope": "atproto", "sub": req.sub,
	}, nil
}

func (s *authServer) revoke(form url.Values, _ string) (any, error) {
	s.tokens[form.Get("token")] = false
	return map[string]any{}, nil
}

// LiveTokens counts the OAuth tokens that were not given back.
func (p *PDS) LiveTokens() int {
	p.oauth.mu.Lock()
	defer p.oauth.mu.Unlock()
	n := 0
	for _, live := range p.oauth.tokens {
		if live {
			n++
		}
	}
	return n
}

// ReadClients makes the PDS's OAuth server read client metadata documents with this transport.
func (p *PDS) ReadClients(t http.RoundTripper) { p.oauth.http = &http.Client{Transport: t} }

// GoPublic makes DID documents of accounts made from now on, and OAuth, name the PDS https://<host>, which
// Network.Transport leads here.
func (p *PDS) GoPublic(host string) { p.publicHost = host }

func (p *PDS) public() string {
	if p.publicHost != "" {
		return "https://" + p.publicHost
	}
	return p.URL()
}

// Transport is a RoundTripper that leads https:// requests for public hosts of the fake PDSes to them, and all other
// requests to next.
func (n *Network) Transport(next http.RoundTripper) http.RoundTripper { return leading{n, next} }

type leading struct {
	n    *Network
	next http.RoundTripper
}

func (l leading) RoundTrip(r *http.Request) (*http.Response, error) {
	for _, p := range l.n.PDSes {
		if p.publicHost != "" && r.URL.Scheme == "https" && r.URL.Host == p.publicHost {
			r = r.Clone(r.Context())
			r.Host = p.publicHost
			r.URL.Scheme, r.URL.Host = "http", p.Addr()
		}
	}
	return l.next.RoundTrip(r)
}
