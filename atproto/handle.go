package atproto

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/bluesky-social/indigo/atproto/syntax"
)

// fetchHandle asks DNS first, then HTTPS (https://atproto.com/specs/handle#handle-resolution). It never returns an empty
// DID without an error.
func (r *Resolver) fetchHandle(ctx context.Context, h syntax.Handle) (syntax.DID, error) {
	did, dnsErr := r.handleDNS(ctx, h)
	if dnsErr == nil || errors.Is(dnsErr, ErrAmbiguousHandle) {
		return did, dnsErr
	}
	did, webErr := r.handleWeb(ctx, h)
	if webErr == nil {
		return did, nil
	}
	// "Not found" is said only if both ways said so; a time-out on either side may pass.
	if !errors.Is(dnsErr, ErrNotFound) {
		return "", fmt.Errorf("resolving a handle by DNS: %w", dnsErr)
	}
	return "", fmt.Errorf("resolving a handle by HTTPS: %w", webErr)
}

func (r *Resolver) handleDNS(ctx context.Context, h syntax.Handle) (syntax.DID, error) {
	if r.o.HandleURL != nil && r.o.HandleURL(h) != "" {
		return "", ErrNotFound
	}
	texts, err := r.o.LookupTXT(ctx, "_atproto."+string(h))
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound {
		return "", ErrNotFound
	}
	if err != nil {
		return "", err
	}
	return didFromTXT(texts)
}

// didFromTXT ignores foreign TXT records; several different DIDs make the handle invalid.
func didFromTXT(texts []string) (syntax.DID, error) {
	var found syntax.DID
	for _, t := range texts {
		value, ok := strings.CutPrefix(t, "did=")
		if !ok {
			continue
		}
		did, err := syntax.ParseDID(strings.TrimSpace(value))
		if err != nil {
			continue
		}
		if found != "" && found != did {
			return "", ErrAmbiguousHandle
		}
		found = did
	}
	if found == "" {
		return "", ErrNotFound
	}
	return found, nil
}

func (r *Resolver) handleWeb(ctx context.Context, h syntax.Handle) (syntax.DID, error) {
	base, host := "https://"+string(h), ""
	if r.o.HandleURL != nil {
		if dev := r.o.HandleURL(h); dev != "" {
			base, host = strings.TrimSuffix(dev, "/"), string(h)
		}
	}
	body, err := r.get(ctx, base+"/.well-known/atproto-did", host, maxHandleReply)
	if err != nil {
		var dns *net.DNSError
		if errors.As(err, &dns) && dns.IsNotFound {
			return "", ErrNotFound
		}
		return "", err
	}
	did, err := syntax.ParseDID(strings.TrimSpace(string(body)))
	if err != nil {
		return "", fmt.Errorf("the well-known is not a DID: %w", ErrNotFound)
	}
	return did, nil
}
