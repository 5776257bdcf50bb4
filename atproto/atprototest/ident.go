package atprototest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/bluesky-social/indigo/atproto/atcrypto"
	"github.com/bluesky-social/indigo/atproto/identity"
	"github.com/bluesky-social/indigo/atproto/syntax"
)

// idents resolves identities for the fakes. Like the real services they remember a DID document until an #identity event
// (or a failed signature, once) makes them ask again.
type idents struct {
	plc  string
	http *http.Client
	// handleHost returns the base URL that serves the well-known of a handle.
	handleHost func(string) string

	mu    sync.Mutex
	known map[string]*identity.Identity
}

func newIdents(plc string, handleHost func(string) string) *idents {
	return &idents{plc: plc, handleHost: handleHost, http: &http.Client{Timeout: 10 * time.Second}, known: map[string]*identity.Identity{}}
}

func (i *idents) forget(did string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.known, did)
}

func (i *idents) lookup(ctx context.Context, did string) (*identity.Identity, error) {
	i.mu.Lock()
	id, ok := i.known[did]
	i.mu.Unlock()
	if ok {
		return id, nil
	}
	body, status, err := i.get(ctx, i.plc+"/"+did, "")
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("DID document: status %d", status)
	}
	var doc identity.DIDDocument
	if err := json.Unmarshal(body, &doc); err != nil {
		return nil, err
	}
	if string(doc.DID) != did {
		return nil, errors.New("DID document of another DID")
	}
	parsed := identity.ParseIdentity(&doc)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.known[did] = &parsed
	return &parsed, nil
}

func (i *idents) key(ctx context.Context, did string) (atcrypto.PublicKey, error) {
	id, err := i.lookup(ctx, did)
	if err != nil {
		return nil, err
	}
	return id.PublicKey()
}

// handle returns the handle if it points both ways, else handle.invalid.
func (i *idents) handle(ctx context.Context, did string) string {
	id, err := i.lookup(ctx, did)
	if err != nil {
		return string(syntax.HandleInvalid)
	}
	h, err := id.DeclaredHandle()
	if err != nil || !h.AllowedTLD() {
		return string(syntax.HandleInvalid)
	}
	if found, err := i.resolveHandle(ctx, string(h)); err != nil || found != did {
		return string(syntax.HandleInvalid)
	}
	return string(h)
}

func (i *idents) resolveHandle(ctx context.Context, handle string) (string, error) {
	base := i.handleHost(handle)
	if base == "" {
		return "", errors.New("no host for the handle")
	}
	body, status, err := i.get(ctx, base+"/.well-known/atproto-did", handle)
	if err != nil {
		return "", err
	}
	did, err := syntax.ParseDID(strings.TrimSpace(string(body)))
	if status != http.StatusOK || err != nil {
		return "", errors.New("the handle does not resolve")
	}
	return string(did), nil
}

func (i *idents) get(ctx context.Context, link, host string) ([]byte, int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return nil, 0, err
	}
	req.Host = host
	resp, err := i.http.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	return body, resp.StatusCode, err
}
