package app

import (
	"context"
	"fmt"

	"footbridge/atproto"
	"footbridge/atproto/pds"
	"footbridge/identity"
	"footbridge/identity/consent"

	"github.com/bluesky-social/indigo/atproto/syntax"
)

// migration lets members move their repo to another host. Moving in needs invitations, which nothing makes yet.
func (a *App) migration(resolver *atproto.Resolver, gate consent.PermitSource) (*pds.Migration, error) {
	secret, err := a.keys.Derive("repo host sessions")
	if err != nil {
		return nil, err
	}
	return &pds.Migration{
		Secret: secret,
		PLC:    atproto.NewPLC(a.Config.PLCURL, resolver),
		Identity: func(ctx context.Context, did syntax.DID) (atproto.Identity, error) {
			resolver.Purge(did)
			return resolver.ResolveDID(ctx, did)
		},
		Permit: func(ctx context.Context, tx pds.Tx, owner identity.Subject) (consent.Permit, error) {
			asked, ok := tx.(consent.Tx)
			if !ok {
				return consent.Permit{}, fmt.Errorf("%w: a transaction without consent", consent.ErrNoPermit)
			}
			return gate.Publish(ctx, asked, owner, consent.ScopeProfile)
		},
	}, nil
}
