package activitypub

import (
	"context"
	"time"

	"footbridge/identity"
)

// keyPairLife bounds how long a private key stays in memory after its last reading from the source.
const keyPairLife = 10 * time.Minute

// KeyCache is a KeySource that remembers key pairs, already parsed: parsing an RSA key costs as much as signing with it.
type KeyCache struct {
	source KeySource
	pairs  *recent[identity.ActorID, KeyPair]
}

// NewKeyCache puts a cache before a source, for at most size actors.
func NewKeyCache(source KeySource, size int, now func() time.Time) *KeyCache {
	return &KeyCache{source: source, pairs: newRecent[identity.ActorID, KeyPair](size, keyPairLife, now)}
}

// SigningKey implements KeySource.
func (k *KeyCache) SigningKey(ctx context.Context, id identity.ActorID) (KeyPair, error) {
	if pair, ok := k.pairs.get(id); ok {
		return pair, nil
	}
	pair, err := k.source.SigningKey(ctx, id)
	if err != nil {
		return KeyPair{}, err
	}
	k.pairs.put(id, pair)
	return pair, nil
}

// Forget drops an actor's keys, after a rotation or when they were destroyed.
func (k *KeyCache) Forget(id identity.ActorID) { k.pairs.forget(id) }
