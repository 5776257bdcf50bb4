package bridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"footbridge/identity"
	"footbridge/identity/consent"
	"footbridge/queue"
)

// How long what is kept (retention.json says the same to people).
const (
	keepMessages  = 15 * 24 * time.Hour // longer than a Delete is tried
	keepSeen      = 90 * 24 * time.Hour // longer than anybody sends anything again
	upkeepEvery   = time.Hour
	expireBatch   = 200
	profilesEvery = 24 * time.Hour
)

// StartUpkeep makes sure that the hourly job exists.
func (b *Bridge) StartUpkeep(ctx context.Context) error {
	return b.Store.Update(ctx, func(tx Tx) error { return b.nextUpkeep(tx, tx.Now()) })
}

func (b *Bridge) nextUpkeep(tx Tx, at time.Time) error {
	j, err := job(JobUpkeep, "upkeep", nil)
	if err != nil {
		return err
	}
	j.Priority, j.Dedup = queue.Backfill, fmt.Sprintf("upkeep:%d", at.Unix()/int64(upkeepEvery.Seconds()))
	return tx.Enqueue(later(j, at))
}

// handleUpkeep does what time alone asks for: expiries, retention, a look at every profile once a day.
func (b *Bridge) handleUpkeep(ctx context.Context, j queue.Job) error {
	if err := b.expire(ctx); err != nil {
		return err
	}
	if err := b.Store.Update(ctx, func(tx Tx) error { return b.sweep(tx) }); err != nil {
		return err
	}
	if err := b.noteLedger(ctx); err != nil {
		return err
	}
	if b.Tidy != nil {
		if err := b.Tidy(ctx); err != nil {
			return fmt.Errorf("tidying up: %w", err)
		}
	}
	if err := b.lookAtProfiles(ctx); err != nil {
		return err
	}
	return b.done(ctx, j, func(tx Tx) error { return b.nextUpkeep(tx, tx.Now().Add(upkeepEvery)) })
}

// expire takes lapsed notices, reminders and ended grants into effect (R12).
func (b *Bridge) expire(ctx context.Context) error {
	for {
		var n int
		err := b.Store.Update(ctx, func(tx Tx) error {
			due, err := b.Desk.Expire(tx, expireBatch)
			n = len(due)
			for _, d := range due {
				err = errors.Join(err, b.expired(tx, d))
			}
			return err
		})
		if err != nil || n < expireBatch {
			return err
		}
	}
}

func (b *Bridge) expired(tx Tx, d consent.Due) error {
	acc, err := account(tx, d.Subject)
	if err != nil || acc == nil {
		return err
	}
	if d.Reminder > 0 {
		return b.sayText(tx, acc, consent.PurposeReminder, "en", "reminder")
	}
	if d.Change.State == consent.Unknown && acc.Status == identity.CopyNone {
		return tx.DeleteAccount(acc.Subject())
	}
	return b.apply(tx, acc, d.Change)
}

// noteLedger writes into the journal how long the ledger is, so that an older one is recognised (R84).
func (b *Bridge) noteLedger(ctx context.Context) error {
	var size int64
	err := b.Store.View(ctx, func(tx Tx) (err error) {
		size, err = tx.LedgerSize()
		return err
	})
	if err != nil || b.Journal == nil {
		return err
	}
	return b.Journal.Checkpoint(size)
}

func (b *Bridge) sweep(tx Tx) error {
	if _, err := tx.ConsentSweep(tx.Now()); err != nil {
		return err
	}
	if err := tx.DropMessages("", tx.Now().Add(-keepMessages)); err != nil {
		return err
	}
	if err := tx.SweepGone(tx.Now().Add(-keepGone)); err != nil {
		return err
	}
	return tx.SweepSeen(tx.Now().Add(-keepSeen))
}

// lookAtProfiles has every member's profile read once a day: a bio may have begun to say no (R13).
func (b *Bridge) lookAtProfiles(ctx context.Context) error {
	day := b.Now().Unix() / int64(profilesEvery.Seconds())
	return b.eachAccountErr(ctx, func(acc *identity.Account) error {
		if acc.Status != identity.CopyActive {
			return nil
		}
		return b.Store.Update(ctx, func(tx Tx) error {
			r, err := subjectJob(JobRefresh, acc, "daily")
			if err != nil {
				return err
			}
			r.Priority, r.Dedup = queue.Backfill, fmt.Sprintf("refresh:%s:%d", acc.Subject(), day)
			return tx.Enqueue(r)
		})
	})
}

func (b *Bridge) eachAccountErr(ctx context.Context, f func(*identity.Account) error) error {
	var errs error
	if err := b.eachAccount(ctx, func(acc *identity.Account) { errs = errors.Join(errs, f(acc)) }); err != nil {
		return err
	}
	return errs
}
