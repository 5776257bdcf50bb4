package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// mastoURL is a server that speaks Mastodon's API as far as signing in needs it, and is strict about it.
const mastoURL = "https://masto.test"

// masto has one account, dora, who has neither a picture nor a display name (R66).
type masto struct {
	mu       sync.Mutex
	key      string // public, PEM
	apps     map[string]mastoApp
	codes    map[string]mastoCode
	tokens   map[string]string // token -> scope
	revoked  int
	received []object // what came to dora's inbox; nobody verifies it, a peer that does is next door
}

type mastoApp struct{ secret, redirect, scope string }

type mastoCode struct{ client, redirect, scope, challenge string }

const (
	mastoUser     = "dora"
	mastoPassword = "a long pass phrase"
)

func newMasto() (*masto, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	return &masto{key: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		apps: map[string]mastoApp{}, codes: map[string]mastoCode{}, tokens: map[string]string{}}, nil
}

func (m *masto) handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, h := range map[string]func(w http.ResponseWriter, r *http.Request){
		"GET /.well-known/webfinger": m.webFinger, "GET /users/dora": m.actor, "POST /users/dora/inbox": m.inbox,
		"POST /api/v1/apps": m.register, "GET /oauth/authorize": m.ask, "POST /oauth/authorize": m.allow,
		"POST /oauth/token": m.token, "POST /oauth/revoke": m.revoke, "GET /api/v1/accounts/verify_credentials": m.credentials,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			m.mu.Lock()
			defer m.mu.Unlock()
			h(w, r)
		})
	}
	return mux
}

func answer(w http.ResponseWriter, status int, mediaType string, v any) {
	w.Header().Set("Content-Type", mediaType)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // whoever hung up misses it
}

func refuse(w http.ResponseWriter, status int, why string) {
	answer(w, status, "application/json", object{"error": "invalid_request", "error_description": why})
}

func draw() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

func (m *masto) webFinger(w http.ResponseWriter, r *http.Request) {
	if r.FormValue("resource") != "acct:dora@masto.test" && r.FormValue("resource") != mastoURL+"/users/dora" {
		http.NotFound(w, r)
		return
	}
	answer(w, http.StatusOK, "application/jrd+json", object{"subject": "acct:dora@masto.test", "aliases": []string{mastoURL + "/users/dora"},
		"links": []object{{"rel": "self", "type": "application/activity+json", "href": mastoURL + "/users/dora"}}})
}

func (m *masto) actor(w http.ResponseWriter, _ *http.Request) {
	id := mastoURL + "/users/dora"
	answer(w, http.StatusOK, "application/activity+json", object{"@context": []string{"https://www.w3.org/ns/activitystreams", "https://w3id.org/security/v1"},
		"id": id, "type": "Person", "preferredUsername": mastoUser, "inbox": id + "/inbox", "outbox": id + "/outbox", "followers": id + "/followers",
		"url": mastoURL + "/@dora", "discoverable": true, "manuallyApprovesFollowers": false,
		"publicKey": object{"id": id + "#main-key", "owner": id, "publicKeyPem": m.key}})
}

func (m *masto) inbox(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	var activity object
	if err != nil || json.Unmarshal(raw, &activity) != nil || r.Header.Get("Signature") == "" {
		refuse(w, http.StatusBadRequest, "not a signed activity")
		return
	}
	m.received = append(m.received, activity)
	w.WriteHeader(http.StatusAccepted)
}

// register is POST /api/v1/apps (https://docs.joinmastodon.org/methods/apps/). Like servers before 4.3 it does not know the
// scope "profile".
func (m *masto) register(w http.ResponseWriter, r *http.Request) {
	redirect, err := url.Parse(r.PostFormValue("redirect_uris"))
	if err != nil || redirect.Scheme != "https" || redirect.Fragment != "" || r.PostFormValue("client_name") == "" {
		refuse(w, http.StatusUnprocessableEntity, "Validation failed: Redirect URI must be an absolute URI.")
		return
	}
	scope := r.PostFormValue("scopes")
	for _, s := range strings.Fields(scope) {
		if !slices.Contains([]string{"read", "read:accounts", "write", "follow", "push"}, s) {
			refuse(w, http.StatusUnprocessableEntity, "Validation failed: Scopes doesn't match configured on the server.")
			return
		}
	}
	id, app := draw(), mastoApp{draw(), redirect.String(), scope}
	m.apps[id] = app
	answer(w, http.StatusOK, "application/json", object{"id": "1", "name": r.PostFormValue("client_name"), "website": r.PostFormValue("website"),
		"redirect_uri": app.redirect, "client_id": id, "client_secret": app.secret})
}

// request checks what an authorization request must say (RFC 6749 section 4.1.1, RFC 7636 section 4.3).
func (m *masto) request(r *http.Request) (mastoCode, error) {
	c := mastoCode{r.FormValue("client_id"), r.FormValue("redirect_uri"), r.FormValue("scope"), r.FormValue("code_challenge")}
	app, ok := m.apps[c.client]
	switch {
	case !ok:
		return c, fmt.Errorf("unknown client")
	case c.redirect != app.redirect:
		return c, fmt.Errorf("the redirect URI is not the registered one")
	case r.FormValue("response_type") != "code":
		return c, fmt.Errorf("unsupported response type")
	case c.scope != app.scope:
		return c, fmt.Errorf("another scope than registered")
	case r.FormValue("code_challenge_method") != "S256" || len(c.challenge) != 43:
		return c, fmt.Errorf("no code challenge")
	case len(r.FormValue("state")) < 16:
		return c, fmt.Errorf("no state worth the name")
	}
	return c, nil
}

var allowPage = template.Must(template.New("").Parse(`<!doctype html><html lang="en"><title>masto.test</title><h1>A bridge asks who you are</h1>
<form method="post" action="/oauth/authorize">{{range $k, $v := .}}<input type="hidden" name="{{$k}}" value="{{index $v 0}}">{{end}}
<label>User <input name="username"></label> <label>Password <input name="password" type="password"></label> <button id="allow">Authorize</button></form></html>`))

func (m *masto) ask(w http.ResponseWriter, r *http.Request) {
	if _, err := m.request(r); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = allowPage.Execute(w, r.URL.Query()) // whoever hung up misses it
}

func (m *masto) allow(w http.ResponseWriter, r *http.Request) {
	c, err := m.request(r)
	if err != nil || r.PostFormValue("username") != mastoUser || r.PostFormValue("password") != mastoPassword {
		refuse(w, http.StatusForbidden, "wrong password")
		return
	}
	code := draw()
	m.codes[code] = c
	http.Redirect(w, r, c.redirect+"?"+url.Values{"code": {code}, "state": {r.PostFormValue("state")}}.Encode(), http.StatusFound)
}

// token takes each code once.
func (m *masto) token(w http.ResponseWriter, r *http.Request) {
	code := r.PostFormValue("code")
	c, ok := m.codes[code]
	delete(m.codes, code)
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if !ok || r.PostFormValue("grant_type") != "authorization_code" || r.PostFormValue("client_id") != c.client ||
		r.PostFormValue("client_secret") != m.apps[c.client].secret || r.PostFormValue("redirect_uri") != c.redirect ||
		base64.RawURLEncoding.EncodeToString(sum[:]) != c.challenge {
		answer(w, http.StatusBadRequest, "application/json", object{"error": "invalid_grant"})
		return
	}
	token := draw()
	m.tokens[token] = c.scope
	answer(w, http.StatusOK, "application/json", object{"access_token": token, "token_type": "Bearer", "scope": c.scope, "created_at": time.Now().Unix()})
}

func (m *masto) revoke(w http.ResponseWriter, r *http.Request) {
	app, ok := m.apps[r.PostFormValue("client_id")]
	if _, live := m.tokens[r.PostFormValue("token")]; !ok || !live || app.secret != r.PostFormValue("client_secret") {
		refuse(w, http.StatusForbidden, "unauthorized_client")
		return
	}
	delete(m.tokens, r.PostFormValue("token"))
	m.revoked++
	answer(w, http.StatusOK, "application/json", object{})
}

func (m *masto) credentials(w http.ResponseWriter, r *http.Request) {
	scope, ok := m.tokens[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	if !ok || scope != "read" && scope != "read:accounts" {
		answer(w, http.StatusUnauthorized, "application/json", object{"error": "The access token is invalid"})
		return
	}
	answer(w, http.StatusOK, "application/json", object{"id": "1", "username": mastoUser, "acct": mastoUser, "display_name": "",
		"url": mastoURL + "/@dora", "uri": mastoURL + "/users/dora"})
}

// left tells how many tokens were given back, how many are still good, and what came to dora.
func (m *masto) left() (revoked, live int, received []object) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.revoked, len(m.tokens), slices.Clone(m.received)
}
