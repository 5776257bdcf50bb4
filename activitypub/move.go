package activitypub

import (
	"context"
	"fmt"

	"footbridge/identity"
)

// CheckMove fetches both actors afresh and reports an error unless each names the other: the old one by movedTo, the new
// one by alsoKnownAs, and the new one has not moved on itself.
func (a *Actors) CheckMove(ctx context.Context, from, to identity.ActorID) error {
	old, err := a.Actor(ctx, from, 0)
	if err != nil {
		return err
	}
	target, err := a.Actor(ctx, to, 0)
	if err != nil {
		return err
	}
	oldDoc, err := parseDocument(old.Raw)
	if err != nil {
		return err
	}
	newDoc, err := parseDocument(target.Raw)
	if err != nil {
		return err
	}
	if idOf(oldDoc["movedTo"]) != string(to) || idOf(newDoc["movedTo"]) != "" {
		return fmt.Errorf("%w: the move is not confirmed by the old account", ErrAuthority)
	}
	for _, alias := range ids(newDoc["alsoKnownAs"]) {
		if alias == string(from) {
			return nil
		}
	}
	return fmt.Errorf("%w: the move is not confirmed by the new account", ErrAuthority)
}
