package atproto

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/bluesky-social/indigo/atproto/atcrypto"
	"github.com/bluesky-social/indigo/atproto/syntax"
)

// Errors of resolution. ErrNotFound is final for now; every other error may pass.
var (
	ErrNotFound        = errors.New("not found")
	ErrAmbiguousHandle = errors.New("handle points to more than one DID")
)

// Limits and lives of what is resolved.
const (
	maxDIDDoc      = 256 << 10
	maxHandleReply = 2 << 10
	resolveTimeout = 15 * time.Second
	docLife        = time.Hour
	softLife       = 5 * time.Minute // a document whose handle could not be checked just now
	missLife       = time.Minute
	cacheSize      = 50_000
)

// ResolverOptions configure NewResolver.
type ResolverOptions struct {
	// Client dials out; it is the guarded one in production. Needed.
	Client *http.Client
	// PLC is the base URL of the PLC directory. Needed.
	PLC string
	// LookupTXT asks DNS; nil means the system's resolver.
	LookupTXT func(ctx context.Context, name string) ([]string, error)
	// HandleURL, for development, returns the base URL to ask for a handle's well-known instead of https://<handle>; the
	// Host header is the handle. An empty string means the normal way. Nil in production.
	HandleURL func(syntax.Handle) string
	// Insecure, for development, allows http:// hosts and did:web with a port.
	Insecure bool
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// UserAgent is sent with every request.
	UserAgent string
}

// Resolver finds out who a DID or a handle is. It keeps what it found for an hour at most, in bounded memory; Purge forgets
// at once. Errors that come from a caller's own cancelled context are never kept (each look-up runs detached, with a
// time limit of its own). Safe for concurrent use.
type Resolver struct {
	o       ResolverOptions
	docs    *cache[*Document]
	handles *cache[syntax.DID]
	// refreshed remembers whose key was looked up anew of late.
	refreshed *cache[struct{}]
}

// NewResolver returns a Resolver.
func NewResolver(o ResolverOptions) *Resolver {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.LookupTXT == nil {
		o.LookupTXT = net.DefaultResolver.LookupTXT
	}
	o.PLC = strings.TrimSuffix(o.PLC, "/")
	return &Resolver{
		o: o, docs: newCache[*Document](cacheSize, o.Now), handles: newCache[syntax.DID](cacheSize, o.Now),
		refreshed: newCache[struct{}](cacheSize, o.Now),
	}
}

// Document is what a DID document says about atproto, checked.
type Document struct {
	Identity
	// AlsoKnownAs as written.
	AlsoKnownAs []string
	// Services by fragment (atproto_pds, atproto_labeler, bsky_chat), base URLs.
	Services map[string]string
	// Keys by fragment (atproto, atproto_label), did:key strings.
	Keys map[string]string

	public atcrypto.PublicKey
}

// ResolveDID returns who a DID is, the handle checked both ways ("handle.invalid" if that fails).
func (r *Resolver) ResolveDID(ctx context.Context, did syntax.DID) (Identity, error) {
	d, err := r.Document(ctx, did)
	if err != nil {
		return Identity{}, err
	}
	return d.Identity, nil
}

// PublicKey returns the parsed signing key of a DID.
func (r *Resolver) PublicKey(ctx context.Context, did syntax.DID) (atcrypto.PublicKey, error) {
	d, err := r.Document(ctx, did)
	if err != nil {
		return nil, err
	}
	if d.public == nil {
		return nil, fmt.Errorf("signing key of the DID document: %w", ErrNotFound)
	}
	return d.public, nil
}

// Document returns all that the DID document says.
func (r *Resolver) Document(ctx context.Context, did syntax.DID) (*Document, error) {
	if _, err := syntax.ParseDID(string(did)); err != nil {
		return nil, fmt.Errorf("resolving a DID: %w", err)
	}
	return r.docs.get(ctx, string(did), func(ctx context.Context) (*Document, time.Duration, error) {
		d, err := r.fetchDocument(ctx, did)
		if err != nil {
			return nil, errorLife(err), err
		}
		life := docLife
		if !r.confirmHandle(ctx, d) {
			life = softLife
		}
		return d, life, nil
	})
}

func errorLife(err error) time.Duration {
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrAmbiguousHandle) {
		return missLife
	}
	return 0
}

// Purge forgets a DID and the handles known for it; the next look-up asks anew, and one under way is not kept.
func (r *Resolver) Purge(did syntax.DID) {
	if d, ok := r.docs.peek(string(did)); ok && d != nil {
		for _, h := range d.declared() {
			r.handles.purge(string(h))
		}
	}
	r.docs.purge(string(did))
}

// PurgeHandle forgets a handle.
func (r *Resolver) PurgeHandle(h syntax.Handle) { r.handles.purge(string(h.Normalize())) }

// ResolveHandle returns the DID that a handle points to. Whether that DID claims the handle is checked by Lookup.
func (r *Resolver) ResolveHandle(ctx context.Context, h syntax.Handle) (syntax.DID, error) {
	h = h.Normalize()
	if _, err := syntax.ParseHandle(string(h)); err != nil {
		return "", fmt.Errorf("resolving a handle: %w", err)
	}
	if !h.AllowedTLD() {
		return "", fmt.Errorf("resolving a handle with a reserved top-level domain: %w", ErrNotFound)
	}
	return r.handles.get(ctx, string(h), func(ctx context.Context) (syntax.DID, time.Duration, error) {
		did, err := r.fetchHandle(ctx, h)
		if err != nil {
			return "", errorLife(err), err
		}
		return did, docLife, nil
	})
}

// Lookup resolves a handle and confirms that its DID claims it.
func (r *Resolver) Lookup(ctx context.Context, h syntax.Handle) (Identity, error) {
	did, err := r.ResolveHandle(ctx, h)
	if err != nil {
		return Identity{}, err
	}
	id, err := r.ResolveDID(ctx, did)
	if err != nil {
		return Identity{}, err
	}
	if id.Handle != h.Normalize() {
		return Identity{}, fmt.Errorf("the DID does not claim the handle: %w", ErrNotFound)
	}
	return id, nil
}

// confirmHandle sets d.Handle if the first declared handle resolves back; it reports whether the answer was certain.
func (r *Resolver) confirmHandle(ctx context.Context, d *Document) bool {
	d.Handle = syntax.HandleInvalid
	declared := d.declared()
	if len(declared) == 0 || !declared[0].AllowedTLD() {
		return true
	}
	// Asked afresh: a cached answer may be what the change of the document is about.
	did, err := r.fetchHandle(ctx, declared[0])
	if err != nil {
		return errors.Is(err, ErrNotFound) || errors.Is(err, ErrAmbiguousHandle)
	}
	if did == d.DID {
		d.Handle = declared[0]
	}
	return true
}

func (r *Resolver) fetchDocument(ctx context.Context, did syntax.DID) (*Document, error) {
	link, err := r.documentURL(did)
	if err != nil {
		return nil, err
	}
	body, err := r.get(ctx, link, "", maxDIDDoc)
	if err != nil {
		return nil, fmt.Errorf("fetching a DID document: %w", err)
	}
	var raw rawDocument
	if err := json.Unmarshal(body, &raw); err != nil {
		return nil, fmt.Errorf("parsing a DID document: %w", err)
	}
	if raw.ID != string(did) {
		return nil, errors.New("the DID document is about another DID")
	}
	return raw.parse(did, r.o.Insecure), nil
}

func (r *Resolver) documentURL(did syntax.DID) (string, error) {
	switch did.Method() {
	case "plc":
		if _, ok := plcKey(string(did)); !ok {
			return "", fmt.Errorf("a did:plc has 24 characters: %w", ErrNotFound)
		}
		return r.o.PLC + "/" + string(did), nil
	case "web":
		return r.webURL(did)
	}
	return "", fmt.Errorf("DID method %q is not supported: %w", did.Method(), ErrNotFound)
}

// webURL allows only what https://atproto.com/specs/did allows: a host name, no path, and a port only in development.
func (r *Resolver) webURL(did syntax.DID) (string, error) {
	host, err := url.PathUnescape(did.Identifier())
	if err != nil {
		return "", fmt.Errorf("did:web host: %w", err)
	}
	if r.o.Insecure && strings.Contains(host, ":") {
		return "http://" + host + "/.well-known/did.json", nil
	}
	h, err := syntax.ParseHandle(host)
	if err != nil || !h.AllowedTLD() {
		return "", fmt.Errorf("did:web must be a plain public host name: %w", ErrNotFound)
	}
	return "https://" + string(h.Normalize()) + "/.well-known/did.json", nil
}

// get fetches a small document; 404 and 410 are ErrNotFound.
func (r *Resolver) get(ctx context.Context, link, host string, limit int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return nil, err
	}
	req.Host = host
	if r.o.UserAgent != "" {
		req.Header.Set("User-Agent", r.o.UserAgent)
	}
	resp, err := r.o.Client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	switch {
	case resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusGone:
		return nil, ErrNotFound
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("status %d", resp.StatusCode)
	}
	return readLimited(resp.Body, limit)
}

// readLimited reads all of r, or fails if it is longer than limit.
func readLimited(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading a reply: %w", err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("reply longer than %d bytes", limit)
	}
	return b, nil
}

// mayRefresh allows one purge for the sake of a failed signature per DID and minute, so that forgeries do not make this
// bridge hammer the directory.
func (r *Resolver) mayRefresh(did syntax.DID) bool {
	return r.refreshed.claim(string(did), missLife)
}
