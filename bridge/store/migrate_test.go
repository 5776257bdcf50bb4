package store

import (
	"errors"
	"strings"
	"sync"
	"testing"
)

func TestMigrationsAreWellFormed(t *testing.T) {
	list, err := Migrations()
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range list {
		if m.Version != i+1 {
			t.Errorf("%s: want version %d, without gaps", m.file, i+1)
		}
		if m.Oldest == "" {
			t.Errorf("%s does not say the oldest release that runs on it", m.file)
		}
		for _, bad := range []string{"AUTOINCREMENT", "SERIAL", "TIMESTAMP", "BOOLEAN", " INTEGER", " BLOB NOT", " BLOB,", "DROP TABLE"} {
			if strings.Contains(strings.ToUpper(m.text), bad) {
				t.Errorf("%s has %s, which is not for both engines or not forward only", m.file, bad)
			}
		}
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	eachPlace(t, func(t *testing.T, e engine) {
		db := e.open(t)
		must(t, db, func(tx *Tx) error { _, err := tx.exec("INSERT INTO schema_version (version) VALUES (999)"); return err })
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		_, err := Open(t.Context(), e.o)
		var newer ErrNewerSchema
		if !errors.As(err, &newer) || newer.Have != 999 {
			t.Errorf("opening gave %v", err)
		}
	})
}

// Several processes may start at once on a new database; each step must be run by one of them.
func TestConcurrentMigration(t *testing.T) {
	eachPlace(t, func(t *testing.T, e engine) {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				db, err := Open(t.Context(), e.o)
				if err != nil {
					t.Error(err)
					return
				}
				_ = db.Close()
			})
		}
		wg.Wait()
		list, _ := Migrations()
		if v, err := e.open(t).SchemaVersion(t.Context()); err != nil || v != list[len(list)-1].Version {
			t.Errorf("schema %d (%v), want %d", v, err, list[len(list)-1].Version)
		}
	})
}

// A step that fails half-way leaves nothing behind, and the steps before it stand.
func TestFailedStepIsUndone(t *testing.T) {
	eachEngine(t, func(t *testing.T, db *DB) {
		before, err := db.SchemaVersion(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		bad := Migration{Version: before + 1, file: "bad", text: "CREATE TABLE half (a BIGINT); INSERT INTO nowhere VALUES (1)"}
		if err := db.apply(t.Context(), bad, before+1); err == nil {
			t.Fatal("a broken step passed")
		}
		if after, err := db.SchemaVersion(t.Context()); after != before || err != nil {
			t.Errorf("schema %d (%v), want %d", after, err, before)
		}
		good := Migration{Version: before + 1, file: "good", text: "CREATE TABLE half (a BIGINT)"}
		if err := db.apply(t.Context(), good, before+1); err != nil {
			t.Errorf("the repaired step: %v", err)
		}
	})
}
