package bridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bluesky-social/indigo/atproto/syntax"

	"footbridge/activitypub"
	"footbridge/atproto/pds"
	"footbridge/identity"
	"footbridge/identity/consent"
)

// What the journal outside the backups says (R84). Its words stay the same for ever.
const (
	JournalWithdraw = "withdraw"
	JournalDelete   = "delete"
	JournalBlock    = "block"
	JournalUnblock  = "unblock"
)

// Journal keeps, outside of the database and its backups, what a restore must not bring back.
type Journal interface {
	// Append is durable when it returns; it is called before the change commits.
	Append(kind, name string, epoch int64) error
	// Checkpoint notes the length of the consent ledger.
	Checkpoint(size int64) error
}

// Past is a journal as a restore reads it.
type Past interface {
	// Last is the newest of the kinds that was written about a name; ok is false if there is none.
	Last(name string, kinds ...string) (kind string, epoch int64, ok bool)
}

func (b *Bridge) journal(kind, name string, epoch int64) error {
	if b.Journal == nil {
		return nil
	}
	if err := b.Journal.Append(kind, name, epoch); err != nil {
		return fmt.Errorf("writing the journal: %w", err)
	}
	return nil
}

// bury makes a tombstone and says so in the journal.
func (b *Bridge) bury(tx Tx, apid, uri string, s identity.Subject) error {
	if err := b.journal(JournalDelete, firstOf(apid, uri), 0); err != nil {
		return err
	}
	return tx.TombstoneObject(apid, uri, s)
}

// block and unblock keep who keeps whom away, here and in the journal.
func (b *Bridge) block(tx Tx, blocker, target, source string) error {
	if err := b.journal(JournalBlock, blocker+" "+target, 0); err != nil {
		return err
	}
	return b.putBlock(tx, blocker, target, source)
}

func (b *Bridge) unblock(tx Tx, blocker, target string) error {
	if err := b.journal(JournalUnblock, blocker+" "+target, 0); err != nil {
		return err
	}
	return b.dropBlock(tx, blocker, target)
}

// Replay takes into effect, on a database that was just restored, what the journal says and the backup cannot know:
// withdrawals, deletions, blocks (F15). Nothing else may run before it has returned nil; it may be repeated.
func (b *Bridge) Replay(ctx context.Context, past Past) error {
	var errs error
	err := b.eachAccountErr(ctx, func(acc *identity.Account) error {
		return errors.Join(b.replayPerson(ctx, past, acc), b.replayObjects(ctx, past, acc), b.replayBlocks(ctx, past, acc))
	})
	return errors.Join(errs, err)
}

// replayPerson withdraws for somebody who had done so after the backup; a later yes of theirs counts as unknown.
func (b *Bridge) replayPerson(ctx context.Context, past Past, acc *identity.Account) error {
	_, epoch, gone := past.Last(string(acc.Subject()), JournalWithdraw)
	if !gone || epoch <= acc.Epoch || acc.Status == identity.CopyGone || acc.Status == identity.CopyErasing {
		return nil
	}
	return b.Store.Update(ctx, func(tx Tx) error {
		current, err := account(tx, acc.Subject())
		if err != nil || current == nil {
			return err
		}
		change, err := b.Desk.WithdrawFor(tx, acc.Subject(), consent.ReasonOperator, "system")
		if err != nil {
			return fmt.Errorf("replaying a withdrawal: %w", err)
		}
		return b.apply(tx, current, change)
	})
}

// replayObjects deletes again what had been deleted after the backup.
func (b *Bridge) replayObjects(ctx context.Context, past Past, acc *identity.Account) error {
	before := time.Time{}
	for {
		var page []Object
		err := b.Store.View(ctx, func(tx Tx) (err error) {
			page, err = tx.ObjectsOf(acc.Subject(), before, 500)
			return err
		})
		if err != nil || len(page) == 0 {
			return err
		}
		for _, o := range page {
			before = o.Created
			if _, _, gone := past.Last(o.APID, JournalDelete); !gone {
				continue
			}
			if err := b.Store.Update(ctx, func(tx Tx) error { return b.removeAgain(ctx, tx, acc, o) }); err != nil {
				return fmt.Errorf("replaying a deletion: %w", err)
			}
		}
	}
}

// removeAgain deletes one object's copy, wherever it is.
func (b *Bridge) removeAgain(ctx context.Context, tx Tx, acc *identity.Account, o Object) error {
	if acc.Native == identity.ATProto {
		inboxes, err := tx.DeliveredInboxes(acc.Actor)
		if err != nil {
			return err
		}
		return b.eraseObject(tx, acc, o, inboxes)
	}
	at, err := syntax.ParseATURI(o.URI)
	if err != nil {
		return tx.TombstoneObject(o.APID, o.URI, acc.Subject())
	}
	permit, err := b.Gate.Erase(ctx, tx, acc.Subject())
	if err != nil {
		return err
	}
	_, _, err = b.Host.Apply(ctx, tx, permit, acc.DID, pds.Write{Collection: at.Collection(), RKey: at.RecordKey()})
	if err != nil && !errors.Is(err, pds.ErrNoRepo) {
		return err
	}
	return tx.TombstoneObject(o.APID, o.URI, acc.Subject())
}

// replayBlocks keeps away those who had been blocked after the backup, as far as they would get anything: followers of a
// copy, and members.
func (b *Bridge) replayBlocks(ctx context.Context, past Past, owner *identity.Account) error {
	if owner.Native != identity.ATProto || owner.Actor == "" {
		return nil
	}
	return b.Store.Update(ctx, func(tx Tx) error {
		for after := identity.ActorID(""); ; {
			page, err := tx.Followers(owner.Actor, after, 500)
			if err != nil || len(page) == 0 {
				return err
			}
			for _, f := range page {
				after = f.Actor
				if err := b.replayBlock(tx, past, owner, f); err != nil {
					return err
				}
			}
		}
	})
}

func (b *Bridge) replayBlock(tx Tx, past Past, owner *identity.Account, f activitypub.Follower) error {
	kind, _, ok := past.Last(string(f.Actor)+" "+string(owner.Subject()), JournalBlock, JournalUnblock)
	if !ok || kind != JournalBlock {
		return nil
	}
	if _, err := tx.FollowerDelete(owner.Actor, f.Actor); err != nil {
		return err
	}
	return b.putBlock(tx, string(f.Actor), string(owner.Subject()), "journal")
}
