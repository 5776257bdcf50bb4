package app

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"github.com/bluesky-social/indigo/atproto/atcrypto"
	"github.com/bluesky-social/indigo/atproto/syntax"
	"github.com/labstack/echo/v4"

	"footbridge/atproto"
	"footbridge/bridge"
	"footbridge/bridge/netguard"
	"footbridge/bridge/store"
	"footbridge/bridge/web"
	"footbridge/identity"
	"footbridge/identity/consent"
)

// registerPages adds what people read, and the notice for programs.
func (a *App) registerPages(e *echo.Echo) error {
	c, err := a.consentConfig()
	if err != nil {
		return err
	}
	signIn, err := atproto.NewOAuth(atproto.OAuthOptions{
		ClientID: a.Config.PublicURL + web.ClientMetadataPath, Callback: a.Config.PublicURL + web.ATReturnPath, Name: c.Operator.Name,
		Resolver: a.Bridge.Resolver, Store: store.Room[atproto.Tx]{DB: a.DB}, Sealer: a.keys,
	})
	if err != nil {
		return err
	}
	key, err := a.verifierKey()
	if err != nil {
		return err
	}
	pages, err := web.New(web.Options{
		Store: store.Room[bridge.Tx]{DB: a.DB}, Desk: a.Desk, Gate: consent.NewGate(c), Bridge: a.Bridge, Sealer: a.keys,
		HTTP: a.guard.Client(netguard.DocumentLimit), Finger: a.client, AT: signIn, BaseURL: a.Config.PublicURL, Operator: c.Operator,
		Verifier: key, BotAcct: "bridge@" + a.Config.Host(), Version: string(a.o.Version), Recipients: a.recipients(), Now: a.o.Now,
	})
	if err != nil {
		return err
	}
	pages.Register(e)
	e.GET("/join/at.json", a.getNotice)
	e.GET("/join/at", func(c echo.Context) error { return c.Redirect(http.StatusFound, "/join") })
	return nil
}

// verifierKey is the public half of the ledger's key.
func (a *App) verifierKey() (string, error) {
	text, err := os.ReadFile(filepath.Join(a.Config.DataDir, "ledger.key"))
	if err != nil {
		return "", fmt.Errorf("reading the ledger's key: %w", err)
	}
	return consent.VerifierKey(string(text))
}

// recipients are the hosts that learn of copies.
func (a *App) recipients() []string {
	var hosts []string
	for _, raw := range append([]string{a.Config.PLCURL, a.Config.AppView}, a.Config.Relays...) {
		if u, err := url.Parse(raw); err == nil && u.Host != "" {
			hosts = append(hosts, u.Host)
		}
	}
	return hosts
}

// atNewcomer stands for somebody of the ATmosphere whose DID is not known yet: the notice differs by network only.
const atNewcomer = identity.Subject("did:")

// getNotice gives the words that a consent record must name by their hash.
func (a *App) getNotice(c echo.Context) error {
	var n consent.Notice
	err := store.Room[bridge.Tx]{DB: a.DB}.Update(c.Request().Context(), func(tx bridge.Tx) (err error) {
		n, err = a.Desk.Show(tx, atNewcomer, c.QueryParam("lang"), nil)
		return err
	})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"text": n.Text, "sha256": n.Hash, "lang": n.Lang,
		"collection": a.Bridge.ConsentCollection(), "rkey": "self", "answers": []string{"yes", "yes all"}})
}

// openChat prepares the bot's private messages on the AT side, where a chat service is configured.
func (a *App) openChat() {
	if a.Config.Chat == "" {
		return
	}
	a.chat = atproto.NewChat(atproto.ChatOptions{
		Client: a.Bridge.Reader, URL: a.Config.Chat, Service: a.Config.ChatDID, Bot: a.botKey, Store: store.Room[atproto.Tx]{DB: a.DB},
		Receive: a.Bridge.ReceiveChat, Log: a.o.Log,
	})
	a.Bridge.Chat = a.chat
}

// botKey is who the bot is on the AT side, and its signing key.
func (a *App) botKey(ctx context.Context) (did syntax.DID, key atcrypto.PrivateKey, err error) {
	did = syntax.DID(a.Bridge.BotDID())
	err = a.DB.View(ctx, func(tx *store.Tx) error {
		k, err := a.keys.Key(tx, did.String(), identity.KeyRepo)
		if err == nil {
			key = k
		}
		return err
	})
	if err != nil {
		return "", nil, fmt.Errorf("opening the bot's key: %w", err)
	}
	return did, key, nil
}
