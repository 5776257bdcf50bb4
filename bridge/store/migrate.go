package store

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"sort"
	"strconv"
	"strings"
)

// Migrations go forward only, each in a transaction of its own. The first line of each says the oldest release that
// still runs on the schema it makes. Types are those that both engines know: TEXT, BIGINT, BYTEA.
//
//go:embed migrations/*.sql
var migrations embed.FS

// ErrNewerSchema says that the database was made by a newer release.
type ErrNewerSchema struct{ Have, Know int }

func (e ErrNewerSchema) Error() string {
	return fmt.Sprintf("the database has schema %d, made by a newer Footbridge; this one knows up to %d: install the newer release again", e.Have, e.Know)
}

type migration struct {
	version int
	name    string
}

func listMigrations() ([]migration, error) {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	var ms []migration
	for _, n := range names {
		base := strings.TrimPrefix(n, "migrations/")
		v, err := strconv.Atoi(strings.SplitN(base, "_", 2)[0])
		if err != nil {
			return nil, fmt.Errorf("migration %s has no number", base)
		}
		ms = append(ms, migration{v, n})
	}
	sort.Slice(ms, func(i, j int) bool { return ms[i].version < ms[j].version })
	return ms, nil
}

func (db *DB) migrate(ctx context.Context) error {
	ms, err := listMigrations()
	if err != nil {
		return err
	}
	if _, err := db.write.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS schema_version (version BIGINT PRIMARY KEY)"); err != nil {
		return err
	}
	for _, m := range ms {
		if err := db.apply(ctx, m, ms[len(ms)-1].version); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return nil
}

func (db *DB) apply(ctx context.Context, m migration, know int) error {
	text, err := migrations.ReadFile(m.name)
	if err != nil {
		return err
	}
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
	var have, max int
	if err := t.QueryRowContext(ctx, "SELECT COALESCE(MAX(version), 0), COUNT(*) FROM schema_version").Scan(&max, &have); err != nil {
		return err
	}
	if max > know {
		return ErrNewerSchema{Have: max, Know: know}
	}
	if m.version <= max {
		return nil
	}
	if _, err := t.ExecContext(ctx, string(text)); err != nil {
		return err
	}
	if _, err := t.ExecContext(ctx, "INSERT INTO schema_version (version) VALUES ("+strconv.Itoa(m.version)+")"); err != nil {
		return err
	}
	return t.Commit()
}
