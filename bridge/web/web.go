// Package web serves the pages for people: what the bridge is, joining, what one shares, receipts, export, leaving, and
// how the bridge itself behaves. Pages are rendered here, need no script and no cookie before somebody signs in, and load
// nothing from elsewhere. It decides nothing about consent: that is identity/consent's desk.
package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/bluesky-social/indigo/atproto/syntax"
	"github.com/labstack/echo/v4"

	"footbridge/bridge"
	"footbridge/identity"
	"footbridge/identity/consent"
)

// Bridge is what the pages need of the flows.
type Bridge interface {
	// Visit makes or refreshes the account row of somebody who has just signed in, and reads what their profile says now.
	Visit(ctx context.Context, s identity.Subject) (consent.Signals, error)
	// Apply takes a change of consent into effect, inside the transaction that made it.
	Apply(tx bridge.Tx, s identity.Subject, ch consent.Change) error
	// CopyName is the address of somebody's copy as people on the other network would type it; empty if there is none.
	CopyName(*identity.Account) string
	// Try converts what a person pasted; it keeps and sends nothing, and asks nobody.
	Try(ctx context.Context, acc *identity.Account, in bridge.Pasted) (bridge.Tried, error)
	// Compare shows a person one thing of theirs beside its copy; ErrNoObject for everything else.
	Compare(ctx context.Context, acc *identity.Account, id string) (bridge.Pair, error)
	// BotHandle is the bot on the AT side.
	BotHandle() syntax.Handle
}

// ATSignIn signs people in with their AT account (OAuth with PAR and DPoP).
type ATSignIn interface {
	// Start gives the address at the person's own server to go to, and a state that comes back.
	Start(ctx context.Context, account string) (redirect, state string, err error)
	// Finish takes what came back and gives the DID that signed in. It keeps no token.
	Finish(ctx context.Context, query url.Values) (syntax.DID, error)
	// ClientMetadata is the document at ClientMetadataPath.
	ClientMetadata() any
}

// WebFinger finds the actor of user@host.
type WebFinger interface {
	WebFinger(ctx context.Context, acct string) (identity.ActorID, error)
}

// Paths that sign-in clients have to know.
const (
	ATReturnPath       = "/signin/bluesky/return"
	FediReturnPath     = "/signin/fediverse/return"
	ClientMetadataPath = "/oauth/client-metadata.json"
)

// Options are what the pages are made of.
type Options struct {
	Store  bridge.Store
	Desk   *consent.Desk
	Gate   *consent.Gate
	Bridge Bridge
	// Sealer seals the session cookie.
	Sealer consent.Sealer
	// HTTP is the guarded client, for signing in at fediverse servers.
	HTTP   *http.Client
	Finger WebFinger
	// AT is nil where signing in with an AT account is not set up.
	AT ATSignIn
	// BaseURL is scheme and host; Onion is the same as an onion service, or empty.
	BaseURL, Onion string
	Operator       consent.Operator
	// Verifier is the key that receipts are checked with.
	Verifier string
	// BotAcct is the bot on the fediverse, user@host.
	BotAcct string
	Version string
	// Recipients are the hosts of relay, AppView and PLC directory, for the transparency page.
	Recipients []string
	Now        func() time.Time
}

// Pages serves them.
type Pages struct {
	Options
	apps     *appCache
	throttle *throttle
	sheet    []byte
}

// New checks that nothing is missing.
func New(o Options) (*Pages, error) {
	if o.Store == nil || o.Desk == nil || o.Bridge == nil || o.Sealer == nil || o.HTTP == nil || o.Finger == nil || o.BaseURL == "" {
		return nil, errors.New("building the pages: a part is missing")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	sheet, err := files.ReadFile("style.css")
	if err != nil {
		return nil, err
	}
	return &Pages{Options: o, apps: newAppCache(), throttle: newThrottle(), sheet: sheet}, nil
}

// Register adds the pages to a router.
func (p *Pages) Register(e *echo.Echo) {
	g := e.Group("", p.guard)
	g.GET("/", p.page("home"))
	g.GET("/join", p.getJoin)
	g.GET("/privacy", p.page("privacy"))
	g.GET("/transparency", p.getTransparency)
	g.GET("/retention.json", p.getRetention)
	g.GET("/verify", p.page("verify"))
	g.POST("/verify", p.postVerify)
	g.GET("/style.css", p.getSheet)
	g.GET("/leave/:token", p.getLeaveLink)
	g.POST("/leave/:token", p.postLeaveLink)
	g.POST("/signin/fediverse", p.postFediverse)
	g.GET(FediReturnPath, p.getFediverseReturn)
	g.POST("/signin/bluesky", p.postBluesky)
	g.GET(ATReturnPath, p.getBlueskyReturn)
	g.GET(ClientMetadataPath, p.getClientMetadata)
	me := g.Group("/me", p.signedIn)
	me.GET("", p.getMe)
	me.GET("/agree", p.getAgree)
	me.POST("/agree", p.postAgree)
	me.GET("/receipt.json", p.getReceipt)
	me.GET("/export.json", p.getExport)
	me.GET("/leave", p.getLeave)
	me.GET("/try", p.getTry)
	me.POST("/try", p.postTry)
	me.GET("/post", p.getPost)
	for _, act := range []string{"pause", "resume", "panic", "leave", "erase-later", "signout"} {
		me.POST("/"+act, p.postAct(act))
	}
}

// guard sets what every page has: nothing from elsewhere, no framing, no referrer, no indexing (R70, R95, R103).
func (p *Pages) guard(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Robots-Tag", "noindex, nofollow")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Permissions-Policy", "interest-cohort=()")
		if c.Request().Method != http.MethodGet || strings.HasPrefix(c.Request().URL.Path, "/me") || strings.HasPrefix(c.Request().URL.Path, "/leave") {
			h.Set("Cache-Control", "no-store")
		}
		if p.Onion != "" && !strings.HasSuffix(c.Request().Host, ".onion") {
			h.Set("Onion-Location", p.Onion+c.Request().URL.Path)
		}
		c.Request().Body = http.MaxBytesReader(c.Response(), c.Request().Body, maxForm)
		return next(c)
	}
}

// maxForm bounds what is read of a form; a receipt fits.
const maxForm = 512 << 10

// policy is the same for every page. A form may not lead elsewhere, not even by a redirect, so whoever signs in goes on by
// a link.
const policy = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func (p *Pages) getSheet(c echo.Context) error {
	c.Response().Header().Set("Cache-Control", "public, max-age=3600")
	return c.Blob(http.StatusOK, "text/css; charset=utf-8", p.sheet)
}

func (p *Pages) getClientMetadata(c echo.Context) error {
	if p.AT == nil {
		return echo.ErrNotFound
	}
	return c.JSON(http.StatusOK, p.AT.ClientMetadata())
}
