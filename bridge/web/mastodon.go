package web

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"footbridge/identity"
)

// The Mastodon API as its servers share it: an app registers itself, the person allows it, and it asks who they are.

// app is this bridge registered at one server.
type app struct{ ID, Secret, Scope string }

// appCache keeps registrations in memory only.
type appCache struct {
	mu   sync.Mutex
	apps map[string]app
}

func newAppCache() *appCache { return &appCache{apps: map[string]app{}} }

func (a *appCache) get(host string) (app, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	found, ok := a.apps[host]
	return found, ok
}

func (a *appCache) put(host string, reg app) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.apps) >= 500 {
		a.apps = map[string]app{}
	}
	a.apps[host] = reg
}

func (a *appCache) forget(host string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.apps, host)
}

// app registers once per server. `profile` (Mastodon 4.3) tells who somebody is and nothing else; older servers need more.
func (p *Pages) app(ctx context.Context, host string) (app, error) {
	if found, ok := p.apps.get(host); ok {
		return found, nil
	}
	var last error
	for _, scope := range []string{"profile", "read:accounts", "read"} {
		var out struct {
			ID     string `json:"client_id"`
			Secret string `json:"client_secret"`
		}
		form := url.Values{"client_name": {p.Operator.Name}, "redirect_uris": {p.BaseURL + FediReturnPath}, "scopes": {scope}, "website": {p.BaseURL + "/"}}
		if last = p.call(ctx, http.MethodPost, serverURL(p.BaseURL, host)+"/api/v1/apps", form, "", &out); last == nil && out.ID != "" {
			found := app{out.ID, out.Secret, scope}
			p.apps.put(host, found)
			return found, nil
		}
	}
	return app{}, fmt.Errorf("registering at a server: %w", last)
}

// whoIs trades the code for a token, asks whose it is, and gives the token back.
func (p *Pages) whoIs(ctx context.Context, f flow, code string) (identity.ActorID, string, error) {
	base := serverURL(p.BaseURL, f.Host)
	var token struct {
		Token string `json:"access_token"`
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "client_id": {f.ID}, "client_secret": {f.Secret},
		"redirect_uri": {p.BaseURL + FediReturnPath}, "code_verifier": {f.Verifier}}
	if err := p.call(ctx, http.MethodPost, base+"/oauth/token", form, "", &token); err != nil {
		p.apps.forget(f.Host) // the registration may have been swept away there
		return "", "", fmt.Errorf("asking for a token: %w", err)
	}
	var me struct {
		Username string `json:"username"`
		URI      string `json:"uri"`
	}
	err := p.call(ctx, http.MethodGet, base+"/api/v1/accounts/verify_credentials", nil, token.Token, &me)
	form = url.Values{"client_id": {f.ID}, "client_secret": {f.Secret}, "token": {token.Token}}
	_ = p.call(ctx, http.MethodPost, base+"/oauth/revoke", form, "", nil) // if they do not take it back, it is still forgotten here
	if err != nil {
		return "", "", fmt.Errorf("asking who signed in: %w", err)
	}
	return p.actorOf(ctx, f.Host, me.Username, me.URI)
}

// actorOf finds the actor. A server can speak only for those who live on it.
func (p *Pages) actorOf(ctx context.Context, host, username, uri string) (identity.ActorID, string, error) {
	if username == "" || strings.ContainsAny(username, "@/ ") {
		return "", "", fmt.Errorf("signing in: the server names nobody")
	}
	acct := username + "@" + host
	if actor, err := identity.ParseActorID(uri); err == nil && actor.Host() == host {
		return actor, acct, nil
	}
	actor, err := p.Finger.WebFinger(ctx, acct)
	if err != nil {
		return "", "", fmt.Errorf("looking for the actor: %w", err)
	}
	if actor.Host() != host {
		return "", "", fmt.Errorf("signing in: the actor lives elsewhere")
	}
	return actor, acct, nil
}

// maxAPI bounds what is read of an answer.
const maxAPI = 1 << 20

func (p *Pages) call(ctx context.Context, method, to string, form url.Values, token string, out any) error {
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, method, to, body)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := p.HTTP.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAPI))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the server answered %d", res.StatusCode)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(b, out)
}
