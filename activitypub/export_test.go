package activitypub

import "crypto/ed25519"

func edPublic(k KeyPair) ed25519.PublicKey { return k.Ed25519.Public().(ed25519.PublicKey) }
