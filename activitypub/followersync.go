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
