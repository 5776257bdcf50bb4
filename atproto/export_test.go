package atproto

import (
	"context"
	"encoding/json"
	"time"

	"github.com/bluesky-social/indigo/atproto/atcrypto"
	"github.com/bluesky-social/indigo/atproto/syntax"
	"github.com/ipfs/go-cid"
)

// What the external tests need of the inside.
var (
	PeekFrame    = peek
	SplitMessage = splitMessage
	LinkFacets   = linkFacets
	CheckNode    = checkNode
)

// Frame is what the filter reads.
type Frame = frame

// ProveCommit decodes and proves a #commit body, as the reader does before it looks at the signature.
func ProveCommit(body []byte, now time.Time) error {
	_, err := decodeCommit(context.Background(), body, now)
	return err
}

// VerifyCommit is ProveCommit and the signature, by the key the resolver knows.
func VerifyCommit(ctx context.Context, r *Resolver, body []byte, now time.Time) error {
	v, err := decodeCommit(ctx, body, now)
	if err != nil {
		return err
	}
	return verifyWithFreshKey(ctx, r, &v.commit)
}

// CheckRepo parses a whole repo and checks its tree and its signature with a did:key.
func CheckRepo(ctx context.Context, did syntax.DID, car []byte, key string) (records int, err error) {
	s, err := parseSnapshot(ctx, did, car)
	if err != nil {
		return 0, err
	}
	pub, err := atcrypto.ParsePublicDIDKey(key)
	if err != nil {
		return 0, err
	}
	if err := s.commit.VerifySignature(pub); err != nil {
		return 0, err
	}
	err = s.Walk(func(string, cid.Cid) error { records++; return nil })
	return records, err
}

// ParseDocument reads a DID document.
func ParseDocument(raw []byte) (*Document, error) {
	var d rawDocument
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, err
	}
	return d.parse(syntax.DID(d.ID), false), nil
}
