package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"math"
	"sort"
	"strconv"
	"strings"
)

// Migrations go forward only, each in a transaction of its own. The first line of each says the oldest release that
// still runs on the schema it makes. Types are those that both engines know: TEXT, BIGINT, BYTEA.
//
//go:embed migrations/*.sql
var migrations embed.FS

// oldestLine begins the first line of every migration.
const oldestLine = "-- oldest release that runs on this schema: "

// ErrNewerSchema says that the database was made by a newer release.
type ErrNewerSchema struct{ Have, Know int }

func (e ErrNewerSchema) Error() string {
	return fmt.Sprintf("the database has schema %d, made by a newer Footbridge; this one knows up to %d: install the newer release again", e.Have, e.Know)
}

// Migration is one step of the schema.
type Migration struct {
	Version int
	// Oldest is the oldest release that still runs after it.
	Oldest string

	file, text string
}

// Migrations lists the steps that this release knows, in order.
func Migrations() ([]Migration, error) {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return nil, fmt.Errorf("listing migrations: %w", err)
	}
	var list []Migration
	for _, name := range names {
		m, err := readMigration(name)
		if err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Version < list[j].Version })
	return list, nil
}

func readMigration(name string) (Migration, error) {
	text, err := migrations.ReadFile(name)
	if err != nil {
		return Migration{}, fmt.Errorf("reading %s: %w", name, err)
	}
	number, _, _ := strings.Cut(strings.TrimPrefix(name, "migrations/"), "_")
	version, err := strconv.Atoi(number)
	if err != nil {
		return Migration{}, fmt.Errorf("migration %s has no number", name)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	oldest, ok := strings.CutPrefix(first, oldestLine)
	if !ok || strings.TrimSpace(oldest) == "" {
		return Migration{}, fmt.Errorf("migration %s does not begin with %q", name, oldestLine)
	}
	return Migration{Version: version, Oldest: strings.TrimSpace(oldest), file: name, text: string(text)}, nil
}

func (db *DB) migrate(ctx context.Context) error { return db.migrateTo(ctx, math.MaxInt) }

// migrateTo runs the steps up to a version that were not run yet.
func (db *DB) migrateTo(ctx context.Context, version int) error {
	list, err := Migrations()
	if err != nil {
		return err
	}
	know := list[len(list)-1].Version
	for _, m := range list {
		if m.Version > version {
			break
		}
		if err := db.apply(ctx, m, know); err != nil {
			return fmt.Errorf("%s: %w", m.file, err)
		}
	}
	return nil
}

// apply runs one step unless it was run before. Processes that start at the same time wait for each other.
func (db *DB) apply(ctx context.Context, m Migration, know int) error {
	t, err := db.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = t.Rollback() }() // after a commit this does nothing
	if db.pg {
		if _, err := t.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", writerLock); err != nil {
			return err
		}
	}
	have, err := schemaVersion(ctx, t)
	if err != nil {
		return err
	}
	if have > know {
		return ErrNewerSchema{Have: have, Know: know}
	}
	if m.Version <= have {
		return t.Commit()
	}
	if _, err := t.ExecContext(ctx, m.text); err != nil {
		return err
	}
	if _, err := t.ExecContext(ctx, "INSERT INTO schema_version (version) VALUES ("+strconv.Itoa(m.Version)+")"); err != nil {
		return err
	}
	return t.Commit()
}

func schemaVersion(ctx context.Context, t *sql.Tx) (have int, err error) {
	if _, err := t.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS schema_version (version BIGINT PRIMARY KEY)"); err != nil {
		return 0, err
	}
	err = t.QueryRowContext(ctx, "SELECT COALESCE(MAX(version), 0) FROM schema_version").Scan(&have)
	return have, err
}

// SchemaVersion is the version of the open database.
func (db *DB) SchemaVersion(ctx context.Context) (have int, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		_, err := tx.get("SELECT COALESCE(MAX(version), 0) FROM schema_version", nil, &have)
		return err
	})
	return have, err
}
