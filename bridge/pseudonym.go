package bridge

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"footbridge/activitypub"
	"footbridge/identity"
)

// keepGone is how long the ids of an erased copy answer that they are gone (at least two years).
const keepGone = 3 * 366 * 24 * time.Hour

// pseudonym is what is kept of an id that has only to be recognised: what was seen, who keeps whom away, what is gone. It
// cannot be guessed without the bridge's key (R16).
func (b *Bridge) pseudonym(purpose, name string) string {
	mac := hmac.New(sha256.New, b.secret)
	mac.Write([]byte(purpose + "\x00" + name))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}

func (b *Bridge) deriveSecret() (err error) {
	if b.Keys == nil {
		return errors.New("building the bridge: the keyring is missing")
	}
	if b.secret, err = b.Keys.Derive("bridge pseudonyms"); err != nil {
		return fmt.Errorf("building the bridge: %w", err)
	}
	return nil
}

// seen records an id and reports whether it is new.
func (b *Bridge) seen(tx Tx, id string) (bool, error) { return tx.Seen(b.pseudonym("seen", id)) }

// gone is the name of an erased id in the table of what is gone.
func (b *Bridge) gone(id string) string { return b.pseudonym("gone", id) }

// isGone reports whether an id belonged to a copy that was erased.
func (b *Bridge) isGone(tx Tx, id string) (bool, error) { return tx.IsGone(b.gone(id)) }

// keepsAway reports whether one person blocks the other, on either network.
func (b *Bridge) keepsAway(tx Tx, blocker, target string) (bool, error) {
	return tx.HasBlockEdge(b.pseudonym("block", blocker), b.pseudonym("block", target))
}

func (b *Bridge) putBlock(tx Tx, blocker, target, source string) error {
	return tx.PutBlockEdge(b.pseudonym("block", blocker), b.pseudonym("block", target), b.pseudonym("block", source))
}

// dropBlock ends a block that is named by its target or by its own id.
func (b *Bridge) dropBlock(tx Tx, blocker, target string) error {
	return tx.DeleteBlockEdge(b.pseudonym("block", blocker), b.pseudonym("block", target))
}

// unlisten ends what somebody of the fediverse followed here: who leaves stands in no list. Their server is told.
func (b *Bridge) unlisten(tx Tx, acc *identity.Account) error {
	owners, err := tx.FollowersOf(acc.Actor)
	if err != nil {
		return err
	}
	to := activitypub.RemoteActor{ID: acc.Actor, Inbox: acc.Inbox}
	for _, owner := range owners {
		f, err := tx.FollowerGet(owner, acc.Actor)
		if err != nil || f == nil {
			return err
		}
		if _, err := tx.FollowerDelete(owner, acc.Actor); err != nil {
			return err
		}
		follow := mustJSON(map[string]any{"id": f.Follow, "type": "Follow", "actor": string(acc.Actor), "object": string(owner)})
		if err := b.answer(tx, owner, to, "Reject", follow, f.Follow); err != nil {
			return err
		}
	}
	return nil
}

// hideInbox forgets somebody's own inbox among the places that copies went to; their server's shared one stands for it.
func hideInbox(tx Tx, acc *identity.Account) error {
	if acc.Inbox == "" || acc.SharedInbox == "" || acc.SharedInbox == acc.Inbox {
		return nil
	}
	return tx.DeliveredMove(acc.Inbox, acc.SharedInbox)
}

// endLog leaves of a DID's operations only the last one, signed now: those before it hold the handle.
func (b *Bridge) endLog(tx Tx, acc *identity.Account) error {
	last, err := b.lastOp(tx, acc.DID)
	if err != nil {
		return err
	}
	if err := tx.DeletePLCOps(acc.DID); err != nil {
		return err
	}
	return tx.PutPLCOp(last)
}

// goneObject is the answer for an object that an erased copy had.
func (d *Directory) goneObject(tx Tx, id string) (activitypub.Presence, error) {
	gone, err := d.b.isGone(tx, id)
	if err != nil || !gone {
		return activitypub.Absent, err
	}
	return activitypub.Gone, nil
}

// goneActor is the answer for the actor of an erased copy; nil if there was none.
func (d *Directory) goneActor(tx Tx, id identity.ActorID) (*activitypub.LocalActor, error) {
	gone, err := d.b.isGone(tx, string(id))
	if err != nil || !gone {
		return nil, err
	}
	return &activitypub.LocalActor{ID: id, Presence: activitypub.Gone}, nil
}
