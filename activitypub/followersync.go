package activitypub

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"footbridge/identity"
)

// FollowersDigest is the digest of FEP-8fcf: the XOR of the SHA-256 of each follower's id, in hex.
func FollowersDigest(followers []identity.ActorID) string {
	var x [sha256.Size]byte
	for _, f := range followers {
		sum := sha256.Sum256([]byte(f))
		for i := range x {
			x[i] ^= sum[i]
		}
	}
	return hex.EncodeToString(x[:])
}

// SyncHeader makes the Collection-Synchronization header for a delivery to the followers of owner on the host of inbox.
func SyncHeader(owner identity.ActorID, onHost []identity.ActorID) string {
	return fmt.Sprintf(`collectionId="%s/followers", url="%s%s", digest="%s"`, owner, owner, syncSuffix, FollowersDigest(onHost))
}

// SyncHint is what a sender says about which of our actors follow it (Collection-Synchronization).
type SyncHint struct {
	// Owner is the sender, whose followers are meant.
	Owner identity.ActorID `json:"owner"`
	// URL lists those on this bridge, Digest is theirs.
	URL    string `json:"url"`
	Digest string `json:"digest"`
}

// readSync reads the header of a delivery if it is about the sender's own followers and, being a header, was signed.
func readSync(r *http.Request, sig Signed) *SyncHint {
	text := r.Header.Values("Collection-Synchronization")
	if len(text) != 1 || !sig.Covers("collection-synchronization") {
		return nil
	}
	params, err := cavageParams(text[0])
	if err != nil || params["collectionId"] == "" || originOf(params["collectionId"]) != originOf(string(sig.Actor)) ||
		originOf(params["url"]) != originOf(string(sig.Actor)) || len(params["digest"]) != 2*sha256.Size {
		return nil
	}
	return &SyncHint{Owner: sig.Actor, URL: params["url"], Digest: params["digest"]}
}

// FollowersThere fetches the list of a hint. It is believed only if its digest is the one announced; then our actors
// that are not in it do not follow any more, and those in it that do not know of it shall send an Undo.
func (c *Client) FollowersThere(ctx context.Context, h SyncHint) ([]identity.ActorID, error) {
	raw, _, err := c.get(ctx, h.URL)
	if err != nil {
		return nil, fmt.Errorf("fetching followers for synchronisation: %w", err)
	}
	doc, err := parseDocument(raw)
	if err != nil {
		return nil, err
	}
	var out []identity.ActorID
	for _, id := range append(ids(doc["orderedItems"]), ids(doc["items"])...) {
		out = append(out, identity.ActorID(id))
	}
	if FollowersDigest(out) != h.Digest {
		return nil, fmt.Errorf("%w: the list does not fit its digest", ErrDocument)
	}
	return out, nil
}

// getFollowersAt lists to a signed reader the followers that live on the reader's own origin.
func (s *Server) getFollowersAt(c echo.Context, owner, reader identity.ActorID) error {
	if s.o.Store == nil || reader == "" {
		return c.NoContent(http.StatusNotFound)
	}
	a, err := s.o.Directory.ByID(c.Request().Context(), owner)
	if err != nil {
		return fmt.Errorf("looking up the owner of followers: %w", err)
	}
	if a == nil || a.Presence != Present {
		return c.NoContent(http.StatusNotFound)
	}
	followers, err := s.followersAt(c.Request().Context(), owner, originOf(string(reader)))
	if err != nil {
		return err
	}
	items := make([]any, len(followers))
	for i, f := range followers {
		items[i] = string(f)
	}
	return s.writeDoc(c, http.StatusOK, map[string]any{"@context": asNamespace, "id": string(owner) + syncSuffix,
		"type": "OrderedCollection", "totalItems": len(items), "orderedItems": items})
}

func (s *Server) followersAt(ctx context.Context, owner identity.ActorID, origin string) (out []identity.ActorID, err error) {
	err = s.o.Store.View(ctx, func(tx Tx) error {
		out, err = tx.FollowersAt(owner, origin)
		return err
	})
	return out, err
}
