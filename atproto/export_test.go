package atproto

import (
	"context"
	"time"
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
	_, err := decodeCommit(body, now)
	return err
}

// VerifyCommit is ProveCommit and the signature, by the key the resolver knows.
func VerifyCommit(ctx context.Context, r *Resolver, body []byte, now time.Time) error {
	v, err := decodeCommit(body, now)
	if err != nil {
		return err
	}
	return verifyWithFreshKey(ctx, r, &v.commit)
}
