package store

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"footbridge/queue"
)

// stuff fills a database with rows of all types.
func stuff(t *testing.T, db *DB) {
	t.Helper()
	must(t, db, func(tx *Tx) error {
		for i := range 50 {
			err := errors.Join(
				put(tx, fmt.Sprint("k", i), strings.Repeat("\x00\xff<&>", i)),
				tx.Enqueue(queue.Job{Kind: "k", Key: "ü\"\\\n", Subject: "did:x", Payload: []byte{0, byte(i), 255}, After: time.UnixMicro(int64(i))}),
			)
			if err != nil {
				return err
			}
		}
		return tx.buryJob(7, queue.Delay{Reason: "r", Detail: "d", Attempt: 3})
	})
}

// text is a backup, without its first line, which has the time.
func text(t *testing.T, db *DB) string {
	t.Helper()
	var b bytes.Buffer
	if err := db.Backup(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(b.String(), "\n")
	lines := strings.Split(strings.TrimSpace(rest), "\n")
	return strings.Join(lines[:len(lines)-1], "\n")
}

// TestBackupCrossesEngines restores each engine's backup into each engine.
func TestBackupCrossesEngines(t *testing.T) {
	eachPlace(t, func(t *testing.T, from engine) {
		db := from.open(t)
		stuff(t, db)
		oldName, err := db.Queue().Generation(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var backup bytes.Buffer
		if err := db.Backup(t.Context(), &backup); err != nil {
			t.Fatal(err)
		}
		want := text(t, db)
		eachPlace(t, func(t *testing.T, to engine) {
			back, err := Restore(t.Context(), to.o, bytes.NewReader(backup.Bytes()))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = back.Close() }()
			if why, err := back.Paused(t.Context()); why != PausedRestore || err != nil {
				t.Errorf("a restored database is paused for %q (%v)", why, err)
			}
			if name, err := back.Queue().Generation(t.Context()); name == oldName || err != nil {
				t.Errorf("the outbox kept its name %q (%v): schedulers would trust old cursors", name, err)
			}
			if err := back.Resume(t.Context()); err != nil {
				t.Fatal(err)
			}
			must(t, back, func(tx *Tx) error { return put(tx, generationSetting, oldName) })
			if got := text(t, back); got != want {
				t.Errorf("the copy differs: %d bytes, want %d", len(got), len(want))
			}
		})
	})
}

func TestBrokenBackupsAreRefused(t *testing.T) {
	db := sqlitePlace(t).open(t)
	stuff(t, db)
	var b bytes.Buffer
	if err := db.Backup(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	whole := b.String()
	lines := strings.SplitAfter(whole, "\n")
	for name, broken := range map[string]string{
		"empty":        "",
		"something":    "hello\n",
		"cut":          whole[:len(whole)/2],
		"no end":       strings.Join(lines[:len(lines)-2], ""),
		"a row less":   strings.Join(append(append([]string{}, lines[:5]...), lines[6:]...), ""),
		"a bit turned": strings.Replace(whole, "did:x", "did:y", 1),
		"other table":  strings.Replace(whole, `"table":"job"`, `"table":"schema_version"`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			e := sqlitePlace(t)
			if _, err := Restore(t.Context(), e.o, strings.NewReader(broken)); !errors.Is(err, ErrBrokenBackup) {
				t.Errorf("restoring gave %v", err)
			}
			again, err := Restore(t.Context(), e.o, strings.NewReader(whole))
			if err != nil {
				t.Fatalf("the whole backup after the broken one: %v", err)
			}
			_ = again.Close()
		})
	}
}

func TestRestoreNeedsANewDatabase(t *testing.T) {
	e := sqlitePlace(t)
	db := e.open(t)
	stuff(t, db)
	var b bytes.Buffer
	if err := db.Backup(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), e.o, bytes.NewReader(b.Bytes())); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("restoring over a database gave %v", err)
	}
	newer := strings.Replace(b.String(), `"schema":`, `"schema":99`, 1)
	var want ErrNewerSchema
	if _, err := Restore(t.Context(), sqlitePlace(t).o, strings.NewReader(newer)); !errors.As(err, &want) {
		t.Errorf("restoring a newer schema gave %v", err)
	}
}

// TestOlderBackupIsMigrated restores what an older release wrote: the rows are there, and so are the newer tables.
func TestOlderBackupIsMigrated(t *testing.T) {
	eachPlace(t, func(t *testing.T, e engine) {
		db, err := dial(e.o)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.closePools() }()
		if err := db.migrateTo(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if _, err := db.write.ExecContext(t.Context(), "INSERT INTO setting (name, value) VALUES ('a', 'old')"); err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := db.Backup(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		back, err := Restore(t.Context(), sqlitePlace(t).o, &b)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = back.Close() }()
		if v := look(t, back, "a"); v != "old" {
			t.Errorf("a is %q", v)
		}
		must(t, back, func(tx *Tx) error { return tx.Enqueue(queue.Job{Kind: "k"}) })
	})
}
