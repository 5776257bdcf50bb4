package atproto

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"footbridge/identity/consent"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/bluesky-social/indigo/atproto/atcrypto"
	"github.com/bluesky-social/indigo/atproto/auth/oauth"
	"github.com/bluesky-social/indigo/atproto/identity"
	"github.com/bluesky-social/indigo/atproto/syntax"
)

// signInLife is how long a sign-in may take, and maxOAuthReply how much a server may answer.
const (
	signInLife    = 10 * time.Minute
	maxOAuthReply = 1 << 20
	revokeTimeout = 5 * time.Second
)

// OAuthOptions configure NewOAuth.
type OAuthOptions struct {
	// ClientID is the public URL of the client metadata document, and Callback where people come back to. Needed.
	// With a callback on a loopback address the client is the development client of the specification.
	ClientID, Callback string
	// Name is shown to people who are asked.
	Name string
	// Key, a P-256 key, makes the client a confidential one; nil a public one.
	Key      atcrypto.PrivateKey
	Resolver *Resolver
	Store    Store
	// Sealer encrypts what is kept of a sign-in under way. Needed.
	Sealer consent.Sealer
}

// OAuth signs people in with their AT account (https://atproto.com/specs/oauth), asking only for who they are. It keeps no
// token: what it learns is a DID, and the token is given back at once.
type OAuth struct {
	o      OAuthOptions
	client *http.Client
	config oauth.ClientConfig
}

// NewOAuth returns an OAuth client.
func NewOAuth(o OAuthOptions) (*OAuth, error) {
	u, err := url.Parse(o.Callback)
	if err != nil {
		return nil, fmt.Errorf("parsing the callback of the OAuth client: %w", err)
	}
	a := &OAuth{o: o}
	scopes := []string{"atproto"}
	if u.Scheme == "http" {
		a.config = oauth.NewLocalhostConfig(o.Callback, scopes)
	} else {
		a.config = oauth.NewPublicConfig(o.ClientID, o.Callback, scopes)
		if o.Key != nil {
			if err := a.config.SetClientSecret(o.Key, "1"); err != nil {
				return nil, fmt.Errorf("the key of the OAuth client: %w", err)
			}
		}
	}
	a.config.UserAgent = o.Resolver.o.UserAgent
	limited := *o.Resolver.o.Client
	limited.Transport = limitedTransport{limited.Transport}
	a.client = &limited
	return a, nil
}

// limitedTransport bounds answers, which the library reads to their end.
type limitedTransport struct{ next http.RoundTripper }

func (l limitedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	next := l.next
	if next == nil {
		return nil, errors.New("an OAuth client needs a transport of its own")
	}
	resp, err := next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, maxOAuthReply), resp.Body}
	return resp, nil
}

// ClientMetadata is the document to serve at the client id, with the public key if there is one.
func (a *OAuth) ClientMetadata() any {
	m := a.config.ClientMetadata()
	if a.o.Name != "" {
		m.ClientName = &a.o.Name
	}
	if u, err := url.Parse(a.o.ClientID); err == nil {
		home := u.Scheme + "://" + u.Host
		m.ClientURI = &home
	}
	if a.config.IsConfidential() {
		jwks := a.config.PublicJWKS()
		m.JWKS = &jwks
	}
	return m
}

// app is the library's client for one call.
func (a *OAuth) app(s *signIn) *oauth.ClientApp {
	return &oauth.ClientApp{
		Client: a.client, Resolver: &oauth.Resolver{Client: a.client, UserAgent: a.config.UserAgent},
		Dir: directory{a.o.Resolver}, Config: &a.config, Store: s,
	}
}

// Start begins a sign-in for a handle or DID, as people type them. It returns where to send the browser and the state that
// comes back; the caller binds the state to the browser.
func (a *OAuth) Start(ctx context.Context, account string) (redirect, state string, err error) {
	account = strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(account), "@"), "at://")
	id, err := syntax.ParseAtIdentifier(account)
	if err != nil {
		return "", "", fmt.Errorf("starting a sign-in: %w", err)
	}
	s := &signIn{o: a.o}
	redirect, err = a.app(s).StartAuthFlow(ctx, id.Normalize().String())
	if err = errors.Join(err, s.err); err != nil {
		return "", "", fmt.Errorf("starting a sign-in: %w", err)
	}
	return redirect, s.state, nil
}

// Finish takes the query that the browser came back with and returns who signed in. The caller has checked that the state
// belongs to the browser. A state works once.
func (a *OAuth) Finish(ctx context.Context, query url.Values) (syntax.DID, error) {
	s := &signIn{o: a.o}
	app := a.app(s)
	session, err := app.ProcessCallback(ctx, query)
	s.forget(ctx, query.Get("state"))
	if err = errors.Join(err, s.err); err != nil {
		return "", fmt.Errorf("finishing a sign-in: %w", err)
	}
	// The token is of no more use. If the server does not take it back it expires by itself, and it is kept nowhere.
	ctx, cancel := context.WithTimeout(ctx, revokeTimeout)
	defer cancel()
	_ = app.Logout(ctx, session.AccountDID, session.SessionID)
	return session.AccountDID, nil
}

// Sweep deletes what sign-ins that were never finished left behind.
func (a *OAuth) Sweep(ctx context.Context) error {
	return a.o.Store.Update(ctx, func(tx Tx) error { return tx.OAuthSweep() })
}

// signIn keeps the state of one sign-in for the library: the request sealed in the database for some minutes, the session
// in memory for as long as the call lasts. It remembers its first error, as the library does not look at all of them.
type signIn struct {
	o       OAuthOptions
	state   string
	session *oauth.ClientSessionData
	err     error
}

const signInPurpose = "oauth sign-in"

func (s *signIn) SaveAuthRequestInfo(ctx context.Context, info oauth.AuthRequestData) error {
	s.state = info.State
	plain, err := json.Marshal(info)
	if err != nil {
		return s.fail(err)
	}
	sealed, err := s.o.Sealer.Seal(signInPurpose, info.State, plain)
	if err != nil {
		return s.fail(err)
	}
	expires := s.o.Resolver.o.Now().Add(signInLife).UnixMicro()
	return s.fail(s.o.Store.Update(ctx, func(tx Tx) error { return tx.PutOAuthBlob(info.State, sealed, expires) }))
}

func (s *signIn) fail(err error) error {
	if err != nil && s.err == nil {
		s.err = fmt.Errorf("keeping a sign-in: %w", err)
	}
	return err
}

func (s *signIn) GetAuthRequestInfo(ctx context.Context, state string) (*oauth.AuthRequestData, error) {
	var sealed []byte
	err := s.o.Store.View(ctx, func(tx Tx) (err error) { sealed, err = tx.OAuthBlob(state); return err })
	if err != nil {
		return nil, err
	}
	plain, err := s.o.Sealer.Open(signInPurpose, state, sealed)
	if err != nil {
		return nil, fmt.Errorf("opening a sign-in: %w", err)
	}
	var info oauth.AuthRequestData
	if err := json.Unmarshal(plain, &info); err != nil {
		return nil, fmt.Errorf("reading a sign-in: %w", err)
	}
	return &info, nil
}

// DeleteAuthRequestInfo does nothing, as the library would log the person's DID if it failed: Finish deletes.
func (s *signIn) DeleteAuthRequestInfo(context.Context, string) error { return nil }

func (s *signIn) forget(ctx context.Context, state string) {
	s.fail(s.o.Store.Update(ctx, func(tx Tx) error { return tx.DeleteOAuthBlob(state) })) //nolint:errcheck // remembered in s.err
}

func (s *signIn) SaveSession(_ context.Context, data oauth.ClientSessionData) error {
	s.session = &data
	return nil
}

func (s *signIn) GetSession(context.Context, syntax.DID, string) (*oauth.ClientSessionData, error) {
	if s.session == nil {
		return nil, ErrNotFound
	}
	return s.session, nil
}

func (s *signIn) DeleteSession(context.Context, syntax.DID, string) error {
	s.session = nil
	return nil
}

// directory is the resolver as the library wants it.
type directory struct{ r *Resolver }

func (d directory) LookupDID(ctx context.Context, did syntax.DID) (*identity.Identity, error) {
	doc, err := d.r.Document(ctx, did)
	if err != nil {
		return nil, err
	}
	return &identity.Identity{
		DID: did, Handle: doc.Handle, AlsoKnownAs: doc.AlsoKnownAs,
		Services: map[string]identity.ServiceEndpoint{"atproto_pds": {Type: "AtprotoPersonalDataServer", URL: doc.PDS}},
	}, nil
}

func (d directory) LookupHandle(ctx context.Context, h syntax.Handle) (*identity.Identity, error) {
	id, err := d.r.Lookup(ctx, h)
	if err != nil {
		return nil, err
	}
	return d.LookupDID(ctx, id.DID)
}

func (d directory) Lookup(ctx context.Context, id syntax.AtIdentifier) (*identity.Identity, error) {
	if did, err := id.AsDID(); err == nil {
		return d.LookupDID(ctx, did)
	}
	h, err := id.AsHandle()
	if err != nil {
		return nil, err
	}
	return d.LookupHandle(ctx, h)
}

func (d directory) Purge(_ context.Context, id syntax.AtIdentifier) error {
	if did, err := id.AsDID(); err == nil {
		d.r.Purge(did)
	}
	return nil
}
