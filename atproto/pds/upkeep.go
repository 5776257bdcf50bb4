package pds

import (
	"context"
	"fmt"
	"time"

	"github.com/ipfs/go-cid"
)

// restoreJump is how far the sequence jumps after a restore: far above what a backup can lack.
const restoreJump = 1_000_000

// Trim drops events older than the retention. Call it every few minutes.
func (h *Host) Trim(ctx context.Context) error {
	err := h.o.Store.Update(ctx, func(tx Tx) error {
		_, err := tx.EventTrim(h.now().Add(-h.o.Retention))
		return err
	})
	if err != nil {
		return fmt.Errorf("trimming the event log: %w", err)
	}
	return nil
}

// Run does the upkeep until ctx ends.
func (h *Host) Run(ctx context.Context) error {
	t := time.NewTicker(5 * time.Minute)
	defer t.Stop()
	for {
		if err := h.Trim(ctx); err != nil && ctx.Err() == nil {
			h.log.Warn("trimming the event log failed", "error", err)
		}
		if _, err := h.CollectBlobs(ctx); err != nil && ctx.Err() == nil {
			h.log.Warn("collecting blobs failed", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// Restored must be called once after the database came back from a backup, before anything else is written. The sequence
// jumps, so that no number is used twice, and every active repo gets a new commit of the same data with a rev of now,
// above any that the network has seen, announced with #sync (R85).
func (h *Host) Restored(ctx context.Context) error {
	err := h.o.Store.Update(ctx, func(tx Tx) error {
		_, err := tx.EventJump(restoreJump)
		return err
	})
	if err != nil {
		return fmt.Errorf("raising the sequence: %w", err)
	}
	for after, done := int64(0), false; !done; {
		err := h.o.Store.Update(ctx, func(tx Tx) error {
			repos, err := tx.Repos(after, 100)
			if err != nil {
				return err
			}
			done = len(repos) < 100
			for _, r := range repos {
				after = r.ID
				if err := h.recommit(tx, r); err != nil {
					return err
				}
			}
			tx.AfterCommit(h.wake.wake)
			return nil
		})
		if err != nil {
			return fmt.Errorf("announcing repos after a restore: %w", err)
		}
	}
	return nil
}

// recommit signs the same data again with a new rev.
func (h *Host) recommit(tx Tx, r *Repo) error {
	if r.Head == "" {
		return nil
	}
	key, err := h.key(tx, r.DID)
	if err != nil {
		return err
	}
	root, err := cid.Decode(r.Data)
	if err != nil {
		return fmt.Errorf("reading the root: %w", err)
	}
	rev, err := nextRev(r.Rev, h.now())
	if err != nil {
		return err
	}
	b, err := signCommit(r.DID, root, rev, key)
	if err != nil {
		return err
	}
	head := r.Head
	r.Head, r.Rev, r.Commit = b.CID.String(), rev, b.Data
	if err := tx.RepoPut(r, head); err != nil || r.Status != StatusActive {
		return err
	}
	_, err = h.emitSync(tx, r)
	return err
}
