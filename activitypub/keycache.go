package activitypub

import (
	"context"
	"time"

	"footbridge/identity"
)

// How long a key pair that was read from the source is used before it is read again, so that a rotated or destroyed key
// is out of use within that time, and how many are kept.
const (
	keyPairLife = time.Minute
	maxKeyPairs = 4096
)

// KeyCache is a KeySource that remembers key pairs, already parsed: parsing an RSA key costs as much as signing with it.
type KeyCache struct {
	source KeySource
	pairs  *recent[identity.ActorID, KeyPair]
}

// newKeyCache is what clients and servers put before the source they are given: a post to many hosts is signed with one key.
func newKeyCache(source KeySource, now func() time.Time) *KeyCache {
	if k, ok := source.(*KeyCache); ok {
		return k
	}
	return NewKeyCache(source, maxKeyPairs, now)
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
