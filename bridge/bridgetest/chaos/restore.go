package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"footbridge/bridge/bridgetest/oracle"
	"footbridge/bridge/store"
)

// f15 restores a backup from before withdrawals and deletes. What was written after it is gone with it, so nothing is;
// but nothing that was taken back may return, and what is written after the restore must cross.
func f15(ctx context.Context, p Plan, rep *Report) error {
	s := p.setup()
	s.Size.Authors = max(s.Size.Authors, 5)
	return within(ctx, s, func(r *Rig) error {
		leavers := max(1, p.n(50, 2)/2)
		leavers = min(leavers, s.Size.Authors-2)
		before := withoutAnswersTo(oracle.Generate(p.Seed, s.Size), leavers)
		d := newDriver(r)
		if err := d.drive(ctx, before, 0); err != nil {
			return err
		}
		if v, _, err := r.Settle(ctx, patience); err != nil || !v.Good() {
			return errors.Join(err, fmt.Errorf("before the backup: %v", v))
		}
		backup := filepath.Join(r.config.DataDir, "..", "backup")
		if err := r.backup(ctx, backup); err != nil {
			return err
		}
		taken := takenBack(before, leavers, p.n(200, 10))
		if err := d.drive(ctx, taken, 0); err != nil {
			return err
		}
		if v, _, err := r.Settle(ctx, patience); err != nil || !v.Good() {
			return errors.Join(err, fmt.Errorf("before the restore: %v", v))
		}
		if err := r.restore(ctx, backup); err != nil {
			return err
		}
		if err := d.drive(ctx, fresh(before, leavers), 0); err != nil {
			return err
		}
		rep.did("%d withdrawals and %d deletes between backup and restore", 2*leavers, len(taken)-2*leavers)
		time.Sleep(3 * time.Second) // the AppView reads the restored repos anew
		return r.judge(ctx, rep)
	})
}

func (r *Rig) backup(ctx context.Context, path string) error {
	f, err := os.Create(path) //nolint:gosec // in a temporary folder
	if err != nil {
		return err
	}
	if err := errors.Join(r.World.App().DB.Backup(ctx, f), f.Close()); err != nil {
		return fmt.Errorf("backing up: %w", err)
	}
	return nil
}

// restore throws the database away and starts the bridge on the backup.
func (r *Rig) restore(ctx context.Context, path string) error {
	if err := r.World.StopBridge(); err != nil {
		return err
	}
	file := filepath.Join(r.config.DataDir, "footbridge.db")
	if r.Backend.Postgres != "" {
		if err := r.renewDatabase(ctx); err != nil {
			return err
		}
	} else {
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if err := os.Remove(file + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	f, err := os.Open(path) //nolint:gosec // in a temporary folder
	if err != nil {
		return err
	}
	db, err := store.Restore(ctx, store.Options{URL: r.config.DatabaseURL, Path: file}, f)
	if err != nil {
		return errors.Join(fmt.Errorf("restoring: %w", err), f.Close())
	}
	if err := errors.Join(db.Close(), f.Close()); err != nil {
		return err
	}
	if err := r.World.StartBridge(ctx); err != nil {
		return err
	}
	return r.World.Ready(ctx)
}

// takenBack lets the first n authors of each side leave and the others delete posts.
func takenBack(before []oracle.Act, n, deletes int) (out []oracle.Act) {
	gone, leaving := map[string]bool{}, map[string]bool{}
	for _, a := range before {
		if a.Verb == oracle.Delete {
			gone[a.Item] = true
		}
	}
	add := func(a oracle.Act) {
		a.Seq = len(before) + len(out) + 1
		out = append(out, a)
	}
	for i := range n {
		for _, side := range []oracle.Side{oracle.Fediverse, oracle.ATmosphere} {
			name := oracle.Author(side, i)
			leaving[name] = true
			add(oracle.Act{Verb: oracle.Withdraw, Author: name, Side: side, Item: "leave " + name})
		}
	}
	for _, a := range before {
		if a.Verb == oracle.Post && !a.Private && !a.Stranger && !gone[a.Item] && !leaving[a.Author] && deletes > 0 {
			add(oracle.Act{Verb: oracle.Delete, Author: a.Author, Side: a.Side, Item: a.Item})
			deletes--
		}
	}
	return out
}

// fresh are posts of some of those who stayed.
func fresh(before []oracle.Act, n int) (out []oracle.Act) {
	for i := range 6 {
		side := []oracle.Side{oracle.Fediverse, oracle.ATmosphere}[i%2]
		item := fmt.Sprintf("item70000%d", i)
		out = append(out, oracle.Act{Seq: 2*len(before) + 1000 + i, Verb: oracle.Post, Author: oracle.Author(side, n+i%2), Side: side, Item: item, Rev: 1, Text: item + " rev1 after the restore"})
	}
	return out
}
