package activitypub

import (
	"crypto/ed25519"
	"testing"

	"footbridge/identity"
)

type identityID = identity.ActorID

// benchWorld sends without end.
func benchWorld(b *testing.B) *world {
	b.Helper()
	return newWorld(b, func(_ *world, o *ServerOptions) { o.InboxPerMinute = -1 })
}

// clear forgets everything, so that a benchmark can send the same request again.
func (r *recent[K, V]) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.at)
	r.order.Init()
}

func edPublic(k KeyPair) ed25519.PublicKey { return k.Ed25519.Public().(ed25519.PublicKey) }
