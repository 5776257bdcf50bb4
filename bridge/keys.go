package bridge

import (
	"context"
	"errors"
	"fmt"

	"footbridge/activitypub"
	"footbridge/identity"
)

// purposeActor is the sealed key pair of a local actor.
const purposeActor = "activitypub"

// SigningKey is the activitypub.KeySource: the keys of a local actor, made at first use and sealed.
func (b *Bridge) SigningKey(ctx context.Context, id identity.ActorID) (activitypub.KeyPair, error) {
	pair, err := b.loadKey(ctx, id)
	if !errors.Is(err, identity.ErrNotFound) {
		return pair, err
	}
	if err := b.ensureActorKey(ctx, id); err != nil {
		return activitypub.KeyPair{}, err
	}
	return b.loadKey(ctx, id)
}

func (b *Bridge) loadKey(ctx context.Context, id identity.ActorID) (pair activitypub.KeyPair, err error) {
	var sealed []byte
	err = b.Store.View(ctx, func(tx Tx) error {
		sealed, err = tx.SealedKey(string(id), purposeActor)
		return err
	})
	if err != nil {
		return pair, err
	}
	plain, err := b.Keys.Open(purposeActor, string(id), sealed)
	if err != nil {
		return pair, fmt.Errorf("opening an actor's keys: %w", err)
	}
	return activitypub.ParseKeyPair(plain)
}

// ensureActorKey makes and keeps keys if there are none; of two makers at once the first wins.
func (b *Bridge) ensureActorKey(ctx context.Context, id identity.ActorID) error {
	if _, err := b.loadKey(ctx, id); !errors.Is(err, identity.ErrNotFound) {
		return err
	}
	pair, err := b.KeyMaker(ctx)
	if err != nil {
		return fmt.Errorf("making an actor's keys: %w", err)
	}
	plain, err := activitypub.MarshalKeyPair(pair)
	if err != nil {
		return err
	}
	sealed, err := b.Keys.Seal(purposeActor, string(id), plain)
	if err != nil {
		return err
	}
	return b.Store.Update(ctx, func(tx Tx) error {
		if _, err := tx.SealedKey(string(id), purposeActor); !errors.Is(err, identity.ErrNotFound) {
			return err
		}
		return tx.PutSealedKey(string(id), purposeActor, sealed)
	})
}
