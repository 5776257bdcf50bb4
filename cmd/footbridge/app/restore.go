package app

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"footbridge/bridge"
	"footbridge/bridge/store"
)

// JournalPath is where the journal lies: in the data folder, and not in any backup.
func (c *Config) JournalPath() string { return filepath.Join(c.DataDir, "journal.jsonl") }

// journal is the bridge's view of the journal file.
type journal struct {
	file *store.Journal
	now  func() time.Time
}

// Append implements bridge.Journal.
func (j journal) Append(kind, name string, epoch int64) error {
	return j.file.Append(store.JournalEntry{At: j.now(), Kind: store.JournalKind(kind), Who: store.JournalHash(name), Epoch: epoch})
}

// Checkpoint implements bridge.Journal.
func (j journal) Checkpoint(size int64) error {
	return j.file.Append(store.JournalEntry{At: j.now(), Kind: store.JournalCheckpoint, Size: size})
}

// openJournal opens the journal beside the database.
func (a *App) openJournal() (bridge.Journal, error) {
	file, err := store.OpenJournal(a.Config.JournalPath())
	if err != nil {
		return nil, err
	}
	a.close = append(a.close, file.Close)
	return journal{file, a.o.Now}, nil
}

// past is a journal that was read, newest last, by whom it is about.
type past map[string][]store.JournalEntry

// Last implements bridge.Past.
func (p past) Last(name string, kinds ...string) (kind string, epoch int64, ok bool) {
	list := p[store.JournalHash(name)]
	for i := len(list) - 1; i >= 0; i-- {
		if slices.Contains(kinds, string(list[i].Kind)) {
			return string(list[i].Kind), list[i].Epoch, true
		}
	}
	return "", 0, false
}

// recover makes a database that was just restored safe to run: what was withdrawn, deleted or blocked since the backup
// is taken into effect first, then the sequence jumps and every repo is announced anew (R84, R85).
func (a *App) recover(ctx context.Context) error {
	why, err := a.DB.Paused(ctx)
	if err != nil || why == "" {
		return err
	}
	if why != store.PausedRestore {
		return fmt.Errorf("the bridge is paused: %s", why)
	}
	entries, err := store.ReadJournal(a.Config.JournalPath())
	if err != nil {
		return err
	}
	p := past{}
	for _, e := range entries {
		p[e.Who] = append(p[e.Who], e)
	}
	if err := a.Bridge.Replay(ctx, p); err != nil {
		return fmt.Errorf("replaying the journal: %w", err)
	}
	if err := a.Host.Restored(ctx); err != nil {
		return fmt.Errorf("announcing the restored repos: %w", err)
	}
	a.o.Log.LogAttrs(ctx, slog.LevelInfo, "the journal was replayed after a restore")
	return a.DB.Resume(ctx)
}
