package bridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bluesky-social/indigo/atproto/syntax"

	"footbridge/atproto"
	"footbridge/identity"
	"footbridge/identity/consent"
	"footbridge/queue"
)

// How soon, and then how seldom, a relay is asked about a repo that it does not show.
const (
	relayFirst  = 2 * time.Second
	relaySeldom = 10 * time.Minute
)

// checkRelays enqueues the look at whether the relays show a repo (R86): a relay that began to read us a moment too late
// has missed how the account came to be, and one with a quota hides it.
func (b *Bridge) checkRelays(tx Tx, s identity.Subject, did syntax.DID) error {
	if b.Settings.Offline {
		return nil
	}
	j, err := job(JobRelay, "relay:"+string(did), SubjectJob{Subject: s, Step: string(did)})
	if err != nil {
		return err
	}
	return tx.Enqueue(later(j, tx.Now().Add(relayFirst)))
}

// handleRelay asks each relay, and says the repo's state again to those that do not know it.
func (b *Bridge) handleRelay(ctx context.Context, j queue.Job) error {
	p, err := decode[SubjectJob](j)
	if err != nil {
		return err
	}
	did := syntax.DID(p.Step)
	for _, relay := range b.Settings.Relays {
		status, err := b.Reader.RepoStatus(ctx, relay, did)
		switch {
		case err == nil && status.Active:
			continue
		case err == nil && status.Throttled():
			err = b.throttled(ctx, j, p.Subject)
		case err == nil || errors.Is(err, atproto.ErrNotFound):
			err = b.sayAgain(ctx, did)
		}
		if err != nil {
			return fmt.Errorf("asking a relay about a repo: %w", err)
		}
		return queue.Snooze("not_on_relay", min(relayFirst<<min(j.Deferred, 10), relaySeldom))
	}
	if j.Deferred == 0 {
		return nil
	}
	return b.sayAgain(ctx, did) // what was written while a relay hid it was not passed on
}

// sayAgain emits the current state of a repo; one that is hidden or gone has nothing to say.
func (b *Bridge) sayAgain(ctx context.Context, did syntax.DID) error {
	return b.Store.Update(ctx, func(tx Tx) error {
		repo, err := tx.Repo(did)
		if err != nil {
			return err
		}
		if repo.Status != "active" {
			return queue.Drop("not_active")
		}
		return b.Host.Sync(tx, did)
	})
}

// throttled tells a member honestly that the relay hides them, once.
func (b *Bridge) throttled(ctx context.Context, j queue.Job, s identity.Subject) error {
	if j.Deferred != 0 {
		return nil
	}
	return b.Store.Update(ctx, func(tx Tx) error {
		acc, err := account(tx, s)
		if err != nil || acc == nil {
			return err
		}
		return b.sayText(tx, acc, consent.PurposeNotify, "en", "notify.throttled")
	})
}
