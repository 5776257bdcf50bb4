package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// engine is a place for a new database that can be opened more than once.
type engine struct {
	name string
	o    Options
}

// eachEngine runs a test over a new database of every engine.
func eachEngine(t *testing.T, f func(t *testing.T, db *DB)) {
	eachPlace(t, func(t *testing.T, e engine) { f(t, e.open(t)) })
}

// eachPlace runs a test with a place for a database of every engine.
func eachPlace(t *testing.T, f func(t *testing.T, e engine)) {
	t.Run("sqlite", func(t *testing.T) { f(t, sqlitePlace(t)) })
	t.Run("postgres", func(t *testing.T) { f(t, postgresPlace(t)) })
}

func sqlitePlace(t *testing.T) engine {
	return engine{"sqlite", Options{Path: filepath.Join(t.TempDir(), "a #1 50%?.db")}}
}

// postgresPlace makes a database that goes when the test ends.
func postgresPlace(t *testing.T) engine {
	t.Helper()
	server := os.Getenv("FOOTBRIDGE_TEST_POSTGRES")
	if server == "" {
		t.Fatal("FOOTBRIDGE_TEST_POSTGRES is not set: run make test, or eval \"$(scripts/services.sh env DIR)\" after scripts/services.sh start DIR")
	}
	name := "t_" + strings.ToLower(rand.Text())
	admin, err := sql.Open("pgx", server)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Exec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := admin.Exec("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Error(err)
		}
		_ = admin.Close()
	})
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return engine{"postgres", Options{URL: u.String()}}
}

// open opens the database at the place; it is closed with the test.
func (e engine) open(t *testing.T) *DB {
	t.Helper()
	db, err := Open(t.Context(), e.o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// must runs an update that has to succeed.
func must(t *testing.T, db *DB, fn func(*Tx) error) {
	t.Helper()
	if err := db.Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// put and look use the settings as a plain key-value table.
func put(tx *Tx, name, value string) error {
	_, err := tx.exec("INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", name, []byte(value))
	return err
}

func look(t *testing.T, db *DB, name string) string {
	t.Helper()
	var v []byte
	err := db.View(context.Background(), func(tx *Tx) error {
		_, err := tx.get("SELECT value FROM setting WHERE name = ?", []any{name}, &v)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(v)
}

// soon fails a test that hangs, with a word about what hung.
func soon(t *testing.T, what string, ch <-chan struct{}) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s took too long", what)
	}
}
