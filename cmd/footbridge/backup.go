package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"footbridge/bridge/store"
	"footbridge/cmd/footbridge/app"
)

type migrateCmd struct{}

// Run opens the database, which migrates it.
func (migrateCmd) Run(ctx context.Context, c *app.Config, s streams) error {
	return withStore(ctx, c, func(*store.DB) error {
		_, err := fmt.Fprintln(s.out, "the database has this release's schema")
		return err
	})
}

type backupCmd struct {
	File string `arg:"" type:"path" help:"Where to write; must not exist."`
}

// Run writes the backup beside its name first, so that a file of that name is always whole.
func (b backupCmd) Run(ctx context.Context, c *app.Config, s streams) error {
	if _, err := os.Stat(b.File); err == nil {
		return usageError{fmt.Errorf("%s is there already", b.File)}
	}
	return withStore(ctx, c, func(db *store.DB) error {
		f, err := os.OpenFile(b.File+".part", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("writing the backup: %w", err)
		}
		err = errors.Join(db.Backup(ctx, f), f.Sync(), f.Close())
		if err != nil {
			return errors.Join(fmt.Errorf("writing the backup: %w", err), os.Remove(f.Name()))
		}
		if err := os.Rename(f.Name(), b.File); err != nil {
			return err
		}
		_, err = fmt.Fprintf(s.out, "wrote %s\nKeep %s and the key files in another place: without them it is noise, and with them it is everything.\n", b.File, filepath.Base(c.JournalPath()))
		return err
	})
}

type restoreCmd struct {
	File   string `arg:"" type:"existingfile" help:"The backup."`
	Accept bool   `help:"Accept that consent records written after the backup are lost; the journal still takes back what was withdrawn."`
}

// Run restores into a new database and leaves it paused until the journal was replayed.
func (r restoreCmd) Run(ctx context.Context, c *app.Config, s streams) error {
	f, err := os.Open(r.File)
	if err != nil {
		return fmt.Errorf("reading the backup: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return fmt.Errorf("making the data folder: %w", err)
	}
	path := filepath.Join(c.DataDir, "footbridge.db")
	db, err := store.Restore(ctx, store.Options{URL: c.DatabaseURL, Path: path}, f)
	if err != nil {
		return err
	}
	if err := r.compare(ctx, c, db); err != nil {
		err = errors.Join(err, db.Close())
		if c.DatabaseURL == "" {
			err = errors.Join(err, os.Remove(path))
		}
		return err
	}
	if err := db.Close(); err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.out, "Restored, and paused. The next `footbridge serve` first takes back what the journal says was withdrawn, deleted or blocked since.")
	return err
}

// compare refuses a ledger that is shorter than one that is known to have been, unless that was accepted (R84).
func (r restoreCmd) compare(ctx context.Context, c *app.Config, db *store.DB) error {
	entries, err := store.ReadJournal(c.JournalPath())
	if err != nil {
		return err
	}
	last, known := store.LastCheckpoint(entries)
	if !known || r.Accept {
		return nil
	}
	return db.View(ctx, func(tx *store.Tx) error {
		size, err := tx.LedgerSize()
		if err == nil && size < last.Size {
			err = fmt.Errorf("the backup's consent ledger has %d entries, but there were %d: some are lost; add --accept if no newer backup is to be had", size, last.Size)
		}
		return err
	})
}
