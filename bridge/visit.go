package bridge

import (
	"context"
	"fmt"
	"strings"

	"github.com/bluesky-social/indigo/atproto/syntax"

	"footbridge/identity"
	"footbridge/identity/consent"
)

// Visit makes or refreshes the account row of somebody who has just signed in on the pages, and reads what their profile
// says now.
func (b *Bridge) Visit(ctx context.Context, s identity.Subject) (consent.Signals, error) {
	if strings.HasPrefix(string(s), "did:") {
		return b.visitAT(ctx, syntax.DID(s))
	}
	actor, err := identity.ParseActorID(string(s))
	if err != nil {
		return consent.Signals{}, err
	}
	remote, err := b.remoteActor(ctx, actor)
	if err != nil {
		return consent.Signals{}, err
	}
	err = b.Store.Update(ctx, func(tx Tx) error {
		_, err := b.ensureFediverseAccount(tx, remote)
		return err
	})
	return b.signals().ActorSignals(remote.Raw), err
}

func (b *Bridge) visitAT(ctx context.Context, did syntax.DID) (consent.Signals, error) {
	id, signals, err := b.newcomer(ctx, did)
	if err != nil {
		return signals, err
	}
	return signals, b.Store.Update(ctx, func(tx Tx) error {
		_, err := b.ensureATAccount(tx, id)
		return err
	})
}

// Apply takes a change of consent into effect, inside the transaction that made it.
func (b *Bridge) Apply(tx Tx, s identity.Subject, ch consent.Change) error {
	acc, err := account(tx, s)
	if err != nil {
		return err
	}
	if acc == nil {
		return fmt.Errorf("applying a change of consent: %w", identity.ErrNotFound)
	}
	return b.apply(tx, acc, ch)
}

// CopyName is the address of somebody's copy, as people on the other side would type it; empty if there is none.
func (b *Bridge) CopyName(acc *identity.Account) string {
	if acc.Status == identity.CopyNone || acc.Status == identity.CopyProvisioning {
		return ""
	}
	return b.copyName(acc)
}
