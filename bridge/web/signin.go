package web

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"footbridge/identity"
)

// postFediverse sends somebody to their own server to sign in there.
func (p *Pages) postFediverse(c echo.Context) error {
	acct := strings.TrimPrefix(strings.TrimSpace(c.FormValue("account")), "@")
	host, err := p.serverOf(c, acct)
	if err != nil || crossSite(c.Request()) {
		return p.fail(c, http.StatusBadRequest, "page.error.server")
	}
	if !p.throttle.allow(host, p.Now()) {
		return p.fail(c, http.StatusTooManyRequests, "page.error.throttle")
	}
	app, err := p.app(c.Request().Context(), host)
	if err != nil {
		return p.fail(c, http.StatusBadGateway, "page.error.server")
	}
	f, err := p.newFlow(c, identity.ActivityPub)
	if err != nil {
		return err
	}
	f.Host, f.ID, f.Secret = host, app.ID, app.Secret
	if err := p.put(c, flowCookie, f, flowLife, http.SameSiteLaxMode); err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(f.Verifier))
	q := url.Values{"response_type": {"code"}, "client_id": {app.ID}, "redirect_uri": {p.BaseURL + FediReturnPath}, "scope": {app.Scope},
		"state": {f.State}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}}
	return p.goOn(c, serverURL(p.BaseURL, host)+"/oauth/authorize?"+q.Encode())
}

func (p *Pages) newFlow(c echo.Context, n identity.Network) (f flow, err error) {
	f = flow{Network: n, Lang: p.lang(c), Expires: p.Now().Add(flowLife).Unix()}
	if f.State, err = randomToken(); err != nil {
		return f, err
	}
	f.Verifier, err = randomToken()
	return f, err
}

var errServer = errors.New("not a server")

// serverOf finds the server to sign in at: of user@host the one that the actor lives on, else the host that was typed.
func (p *Pages) serverOf(c echo.Context, acct string) (string, error) {
	user, host, ok := strings.Cut(acct, "@")
	if !ok {
		return cleanHost(acct)
	}
	host, err := cleanHost(host)
	if err != nil || user == "" {
		return "", errServer
	}
	actor, err := p.Finger.WebFinger(c.Request().Context(), user+"@"+host)
	if err != nil {
		return "", fmt.Errorf("looking for the account: %w", err)
	}
	return cleanHost(actor.Host())
}

// cleanHost accepts a bare host, with a port on test machines, or the address of a page on it.
func cleanHost(s string) (string, error) {
	s = strings.ToLower(strings.TrimSpace(s))
	if strings.Contains(s, "://") {
		u, err := url.Parse(s)
		if err != nil {
			return "", errServer
		}
		s = u.Host
	}
	u, err := url.Parse("https://" + s + "/")
	if err != nil || u.Host != s || u.User != nil || s == "" || len(s) > 253 || !strings.ContainsAny(s, ".:") {
		return "", errServer
	}
	return s, nil
}

// serverURL: https, but on a test machine whatever the bridge itself speaks.
func serverURL(base, host string) string {
	if strings.HasPrefix(base, "http://") {
		return "http://" + host
	}
	return "https://" + host
}

// takeFlow opens the flow that the answer belongs to.
func (p *Pages) takeFlow(c echo.Context, n identity.Network) (flow, error) {
	var f flow
	if err := p.open(c, flowCookie, &f); err != nil {
		return f, err
	}
	if f.Network != n || p.Now().Unix() >= f.Expires || subtle.ConstantTimeCompare([]byte(f.State), []byte(c.QueryParam("state"))) != 1 {
		return f, errNoSession
	}
	return f, nil
}

// getFediverseReturn takes the answer of the person's server and asks it who that was. The token is given back at once:
// it is needed for nothing else (R102).
func (p *Pages) getFediverseReturn(c echo.Context) error {
	f, err := p.takeFlow(c, identity.ActivityPub)
	if err != nil || c.QueryParam("code") == "" {
		return p.fail(c, http.StatusBadRequest, "page.error.signin")
	}
	actor, acct, err := p.whoIs(c.Request().Context(), f, c.QueryParam("code"))
	if err != nil {
		return p.fail(c, http.StatusBadGateway, "page.error.signin")
	}
	return p.arrived(c, identity.Subject(actor), acct)
}

// postBluesky sends somebody to the authorization server of their PDS.
func (p *Pages) postBluesky(c echo.Context) error {
	account := strings.TrimPrefix(strings.TrimSpace(c.FormValue("account")), "@")
	if p.AT == nil || account == "" || len(account) > 253 || crossSite(c.Request()) {
		return p.fail(c, http.StatusBadRequest, "page.error.server")
	}
	if !p.throttle.allow("at", p.Now()) {
		return p.fail(c, http.StatusTooManyRequests, "page.error.throttle")
	}
	redirect, state, err := p.AT.Start(c.Request().Context(), account)
	if err != nil {
		return p.fail(c, http.StatusBadGateway, "page.error.server")
	}
	f, err := p.newFlow(c, identity.ATProto)
	if err != nil {
		return err
	}
	f.State = state
	if err := p.put(c, flowCookie, f, flowLife, http.SameSiteLaxMode); err != nil {
		return err
	}
	return p.goOn(c, redirect)
}

func (p *Pages) getBlueskyReturn(c echo.Context) error {
	if _, err := p.takeFlow(c, identity.ATProto); err != nil || p.AT == nil {
		return p.fail(c, http.StatusBadRequest, "page.error.signin")
	}
	did, err := p.AT.Finish(c.Request().Context(), c.QueryParams())
	if err != nil {
		return p.fail(c, http.StatusBadGateway, "page.error.signin")
	}
	return p.arrived(c, identity.Subject(did), string(did))
}

// arrived opens the session. The cookie is Strict, so the browser would not send it along a redirect that began at another
// site: a page of ours leads on.
func (p *Pages) arrived(c echo.Context, s identity.Subject, acct string) error {
	if _, err := p.Bridge.Visit(c.Request().Context(), s); err != nil {
		return p.fail(c, http.StatusBadGateway, "page.error.profile")
	}
	if err := p.begin(c, s, acct); err != nil {
		return err
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return p.render(c, http.StatusOK, "arrived", p.view(c))
}

// goOn leads to another site by a link that the browser follows by itself.
func (p *Pages) goOn(c echo.Context, to string) error {
	v := p.view(c)
	v.Next = to
	c.Response().Header().Set("Cache-Control", "no-store")
	return p.render(c, http.StatusOK, "goon", v)
}
