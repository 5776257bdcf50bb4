package activitypub

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"footbridge/identity"
)

// Media types of ActivityPub documents.
const (
	activityJSON = "application/activity+json"
	ldJSON       = `application/ld+json; profile="https://www.w3.org/ns/activitystreams"`
	asNamespace  = "https://www.w3.org/ns/activitystreams"
)

// How a fetch can end, besides ErrDocument and errors of the network.
var (
	ErrGone      = errors.New("gone (410)")
	ErrMissing   = errors.New("not found (404)")
	ErrRefused   = errors.New("refused by the server")
	ErrTemporary = errors.New("not reachable now")
)

// maxHops bounds redirects of a signed fetch; each hop is signed anew.
const maxHops = 3

// ClientOptions is what a Client needs.
type ClientOptions struct {
	// HTTP is the guarded client for documents (1 MiB).
	HTTP *http.Client
	// Keys and Instance sign fetches.
	Keys     KeySource
	Instance identity.ActorID
	// Hosts remembers signature schemes; nil keeps them in memory only.
	Hosts HostMemory
	// Blocked tells hosts that are not talked to; nil blocks none.
	Blocked func(ctx context.Context, host string) bool
	// UserAgent is sent with every request, with a contact URL by custom.
	UserAgent string
	Now       func() time.Time
}

// Client fetches and delivers. It implements Fetcher and Deliverer.
type Client struct {
	o    ClientOptions
	http *http.Client
}

// NewClient makes one.
func NewClient(o ClientOptions) *Client {
	if o.Hosts == nil {
		o.Hosts = NewHostMemory(nil, o.Now)
	}
	o.Keys = newKeyCache(o.Keys, o.Now)
	h := *o.HTTP
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{o: o, http: &h}
}

// Object implements Fetcher.
func (c *Client) Object(ctx context.Context, id string) (json.RawMessage, error) {
	raw, err := c.fetchByID(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("fetching a document: %w", err)
	}
	return raw, nil
}

// fetchByID returns a document only if its own id is the one that was asked for. A server may answer with another id of
// the same origin (a redirect, a page URL, a key's stub): then that id is fetched, once, and must name itself.
func (c *Client) fetchByID(ctx context.Context, id string) (json.RawMessage, error) {
	want := withoutFragment(id)
	for range 2 {
		raw, final, err := c.get(ctx, want)
		if err != nil {
			return nil, err
		}
		doc, err := parseDocument(raw)
		if err != nil {
			return nil, err
		}
		got := withoutFragment(doc.id())
		if got == want && originOf(final) == originOf(want) {
			return raw, nil
		}
		if got == "" || originOf(got) == "" || originOf(got) != originOf(final) {
			return nil, fmt.Errorf("%w: its id is of another origin", ErrDocument)
		}
		want = got
	}
	return nil, fmt.Errorf("%w: its id is not where it is", ErrDocument)
}

func withoutFragment(id string) string {
	s, _, _ := strings.Cut(id, "#")
	return s
}

// get follows redirects itself, because each hop needs a signature of its own.
func (c *Client) get(ctx context.Context, target string) (raw []byte, final string, err error) {
	seen := map[string]bool{}
	for range maxHops + 1 {
		if seen[target] {
			return nil, "", fmt.Errorf("%w: redirect loop", ErrRefused)
		}
		seen[target] = true
		resp, err := c.signedGet(ctx, target)
		if err != nil {
			return nil, "", err
		}
		if resp.StatusCode < 300 || resp.StatusCode > 399 {
			raw, err := readDocument(resp)
			return raw, target, err
		}
		next, err := redirectTarget(target, resp)
		if err != nil {
			return nil, "", err
		}
		target = next
	}
	return nil, "", fmt.Errorf("%w: too many redirects", ErrRefused)
}

func redirectTarget(from string, resp *http.Response) (string, error) {
	drain(resp)
	base, err := url.Parse(from)
	if err != nil {
		return "", fmt.Errorf("%w: redirect", ErrRefused)
	}
	next, err := base.Parse(resp.Header.Get("Location"))
	if err != nil || resp.Header.Get("Location") == "" || base.Scheme == "https" && next.Scheme != "https" {
		return "", fmt.Errorf("%w: redirect", ErrRefused)
	}
	next.Fragment = ""
	return next.String(), nil
}

// signedGet asks with the scheme remembered for the host, and once more with the other one if that is refused.
func (c *Client) signedGet(ctx context.Context, target string) (*http.Response, error) {
	u, err := url.Parse(target)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("%w: not a URL", ErrDocument)
	}
	if c.o.Blocked != nil && c.o.Blocked(ctx, u.Host) {
		return nil, fmt.Errorf("%w: the host is blocked", ErrRefused)
	}
	return c.knock(ctx, u.Host, c.o.Instance, func() (*http.Request, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
		if err == nil {
			req.Header.Set("Accept", activityJSON+`, `+ldJSON)
		}
		return req, err
	}, nil)
}

// knock sends a request signed one way and, if the host refuses that and it is not known what it takes, another way.
func (c *Client) knock(ctx context.Context, host string, from identity.ActorID, build func() (*http.Request, error), body []byte) (*http.Response, error) {
	first, sure := c.o.Hosts.Scheme(ctx, host)
	resp, err := c.send(ctx, from, build, body, first)
	if err != nil || sure || !knockAgain(resp.StatusCode) {
		if err == nil && resp.StatusCode < 300 && !sure {
			c.o.Hosts.Remember(ctx, host, first)
		}
		return resp, err
	}
	second := SchemeRFC9421
	if first != SchemeCavage {
		second = SchemeCavage
	}
	again, err := c.send(ctx, from, build, body, second)
	if err != nil {
		return resp, nil //nolint:nilerr // the first answer is the better one to judge by
	}
	drain(resp)
	if again.StatusCode < 300 {
		c.o.Hosts.Remember(ctx, host, second)
	} else if knockAgain(again.StatusCode) {
		c.o.Hosts.Remember(ctx, host, "") // neither helps: do not knock twice for a while
	}
	return again, nil
}

// knockAgain is true of the answers that mean "I do not like this signature".
func knockAgain(status int) bool {
	return status == http.StatusBadRequest || status == http.StatusUnauthorized || status == http.StatusForbidden
}

func (c *Client) send(ctx context.Context, from identity.ActorID, build func() (*http.Request, error), body []byte, s Scheme) (*http.Response, error) {
	req, err := build()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDocument, err)
	}
	if c.o.UserAgent != "" {
		req.Header.Set("User-Agent", c.o.UserAgent)
	}
	pair, err := c.o.Keys.SigningKey(ctx, from)
	if err != nil {
		return nil, fmt.Errorf("finding the signing key: %w", err)
	}
	if err := sign(req, body, from, pair, s, c.o.Now()); err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTemporary, err)
	}
	return resp, nil
}

func sign(req *http.Request, body []byte, from identity.ActorID, pair KeyPair, s Scheme, now time.Time) error {
	var key crypto.Signer = pair.RSA
	id := MainKeyID(from)
	switch s {
	case SchemeEd25519:
		return signRFC9421(req, body, ProofKeyID(from), pair.Ed25519, now)
	case SchemeRFC9421:
		return signRFC9421(req, body, id, key, now)
	default:
		return signCavage(req, body, id, key, now)
	}
}

// readDocument checks status and media type: what an upload server hands out as something else is no document.
func readDocument(resp *http.Response) ([]byte, error) {
	defer drain(resp)
	if err := statusError(resp.StatusCode); err != nil {
		return nil, err
	}
	if !isActivityType(resp.Header.Get("Content-Type")) {
		return nil, fmt.Errorf("%w: media type", ErrDocument)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTemporary, err)
	}
	if len(raw) > maxDocument {
		return nil, fmt.Errorf("%w: too large", ErrDocument)
	}
	return raw, nil
}

func statusError(status int) error {
	switch {
	case status >= 200 && status < 300:
		return nil
	case status == http.StatusGone:
		return ErrGone
	case status == http.StatusNotFound:
		return ErrMissing
	case status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= 500:
		return fmt.Errorf("%w: status %d", ErrTemporary, status)
	default:
		return fmt.Errorf("%w: status %d", ErrRefused, status)
	}
}

// isActivityType accepts application/activity+json, and application/ld+json with the ActivityStreams profile.
func isActivityType(contentType string) bool {
	mt, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	if mt == "application/ld+json" {
		for _, p := range strings.Fields(params["profile"]) {
			if p == asNamespace {
				return true
			}
		}
		return false
	}
	return mt == activityJSON
}

// drain lets the connection be used again, if little is left.
func drain(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // only for keep-alive
	_ = resp.Body.Close()
}

// retryAfter reads seconds or a date; absurd values are cut to an hour.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if text == "" {
		return 0
	}
	var d time.Duration
	if n, err := strconv.Atoi(text); err == nil {
		d = time.Duration(min(max(n, 0), 3600)) * time.Second
	} else if t, err := http.ParseTime(text); err == nil {
		d = t.Sub(now)
	}
	return min(max(d, 0), time.Hour)
}
