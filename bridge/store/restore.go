package store

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
)

// ErrNotEmpty says that a backup can only be restored into a new database.
var ErrNotEmpty = errors.New("the database is not empty: restore into a new one")

// ErrBrokenBackup says that a backup was cut short or changed.
var ErrBrokenBackup = errors.New("the backup is incomplete or was changed")

// PausedRestore is why a database that was just restored is paused.
const PausedRestore = "restored from a backup: the journal of erasures and withdrawals has to be replayed first"

// Restore fills a new database from a backup of either engine, migrates it, names the outbox anew and leaves it paused.
// All or nothing is restored. The caller then replays the journal, calls pds.Host.Restored, and resumes.
func Restore(ctx context.Context, o Options, r io.Reader) (*DB, error) {
	db, err := dial(o)
	if err != nil {
		return nil, err
	}
	if err := db.restore(ctx, r); err != nil {
		return nil, errors.Join(fmt.Errorf("restoring: %w", err), db.closePools())
	}
	db.serve()
	err = db.Update(ctx, func(tx *Tx) error {
		if _, err := tx.renewGeneration(); err != nil {
			return err
		}
		return tx.setPaused(PausedRestore)
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("preparing the restored database: %w", err), db.Close())
	}
	return db, nil
}

func (db *DB) restore(ctx context.Context, r io.Reader) error {
	b := &backupReader{in: bufio.NewReaderSize(r, 1<<16), sum: sha256.New()}
	var head backupHead
	if err := b.read(&head); err != nil || head.Format == 0 {
		return fmt.Errorf("%w: it does not begin like one", ErrBrokenBackup)
	}
	if head.Format != backupFormat {
		return fmt.Errorf("the backup has format %d, this Footbridge knows %d", head.Format, backupFormat)
	}
	list, err := Migrations()
	if err != nil {
		return err
	}
	if know := list[len(list)-1].Version; head.Schema > know {
		return ErrNewerSchema{Have: head.Schema, Know: know}
	}
	if err := db.refuseUsed(ctx); err != nil {
		return err
	}
	// The tables are filled as the backup knew them; what is newer migrates them with their rows.
	if err := db.migrateTo(ctx, head.Schema); err != nil {
		return fmt.Errorf("making the tables: %w", err)
	}
	have, err := db.SchemaVersion(ctx)
	if err != nil {
		return err
	}
	if have != head.Schema {
		return fmt.Errorf("%w: it has schema %d already, and the backup has %d", ErrNotEmpty, have, head.Schema)
	}
	if err := db.fill(ctx, b); err != nil {
		return err
	}
	return db.migrate(ctx)
}

// refuseUsed returns ErrNotEmpty if any table has a row.
func (db *DB) refuseUsed(ctx context.Context) error {
	return db.View(ctx, func(tx *Tx) error {
		tables, err := tx.tables()
		if err != nil {
			return err
		}
		for _, t := range tables {
			var one int
			used, err := tx.get("SELECT 1 FROM "+quote(t)+" LIMIT 1", nil, &one)
			if err != nil {
				return fmt.Errorf("looking into %s: %w", t, err)
			}
			if used {
				return ErrNotEmpty
			}
		}
		return nil
	})
}

// fill inserts all rows in one transaction, and commits only if the end of the backup is as it should be.
func (db *DB) fill(ctx context.Context, b *backupReader) error {
	t, err := db.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("beginning: %w", err)
	}
	defer func() { _ = t.Rollback() }() // after a commit this does nothing
	tx := &Tx{ctx: ctx, quiet: ctx, sql: t, pg: db.pg, now: db.now(), db: db}
	known, err := tx.tables()
	if err != nil {
		return err
	}
	allowed := map[string]bool{}
	for _, k := range known {
		allowed[k] = true
	}
	if err := b.rows(ctx, tx, allowed); err != nil {
		return err
	}
	if err := t.Commit(); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	return nil
}

type backupReader struct {
	in    *bufio.Reader
	sum   hash.Hash
	count int64
}

// next returns a line, and the sum of all before it.
func (b *backupReader) next() (line []byte, sum string, err error) {
	sum = hex.EncodeToString(b.sum.Sum(nil))
	line, err = b.in.ReadBytes('\n')
	if err != nil {
		return nil, "", fmt.Errorf("%w: it ends too early", ErrBrokenBackup)
	}
	b.sum.Write(line)
	return line, sum, nil
}

func (b *backupReader) read(into any) error {
	line, _, err := b.next()
	if err != nil {
		return err
	}
	return json.Unmarshal(line, into)
}

// rows reads tables until the last line.
func (b *backupReader) rows(ctx context.Context, tx *Tx, allowed map[string]bool) error {
	var insert *sql.Stmt
	for {
		line, sum, err := b.next()
		if err != nil {
			return err
		}
		if line[0] == '[' {
			if insert == nil {
				return fmt.Errorf("%w: a row without a table", ErrBrokenBackup)
			}
			if err := b.row(ctx, insert, line); err != nil {
				return err
			}
			continue
		}
		var t backupTable
		var end backupEnd
		if err := errors.Join(json.Unmarshal(line, &t), json.Unmarshal(line, &end)); err != nil {
			return fmt.Errorf("%w: %w", ErrBrokenBackup, err)
		}
		if t.Table == "" {
			if end.Sum != sum || end.Rows != b.count {
				return fmt.Errorf("%w: its sum is not right", ErrBrokenBackup)
			}
			return nil
		}
		if !allowed[t.Table] {
			return fmt.Errorf("%w: it has a table %q, which its schema has not", ErrBrokenBackup, t.Table)
		}
		if insert, err = tx.prepareInsert(t); err != nil {
			return fmt.Errorf("filling %s: %w", t.Table, err)
		}
	}
}

// prepareInsert makes the statement of a table; it ends with the transaction.
func (tx *Tx) prepareInsert(t backupTable) (*sql.Stmt, error) {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = quote(c)
	}
	return tx.sql.PrepareContext(tx.ctx, tx.bind("INSERT INTO "+quote(t.Table)+" ("+strings.Join(names, ", ")+") VALUES ("+marks(len(names))+")"))
}

func (b *backupReader) row(ctx context.Context, insert *sql.Stmt, line []byte) error {
	var raw []any
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	if err := d.Decode(&raw); err != nil {
		return fmt.Errorf("%w: %w", ErrBrokenBackup, err)
	}
	for i, v := range raw {
		var err error
		if raw[i], err = decodeValue(v); err != nil {
			return fmt.Errorf("%w: %w", ErrBrokenBackup, err)
		}
	}
	if _, err := insert.ExecContext(ctx, raw...); err != nil {
		return fmt.Errorf("inserting row %d: %w", b.count+1, err)
	}
	b.count++
	return nil
}

func decodeValue(v any) (any, error) {
	switch v := v.(type) {
	case json.Number:
		return v.Int64()
	case map[string]any:
		if s, ok := v["b"].(string); ok {
			return base64.StdEncoding.DecodeString(s)
		}
		s, _ := v["t"].(string)
		text, err := base64.StdEncoding.DecodeString(s)
		return string(text), err
	default:
		return v, nil
	}
}

// pausedSetting holds why the bridge sends nothing.
const pausedSetting = "paused"

func (tx *Tx) setPaused(why string) error {
	_, err := tx.exec("INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", pausedSetting, []byte(why))
	if err != nil {
		return fmt.Errorf("pausing: %w", err)
	}
	return nil
}

// Pause notes that nothing may be sent, and why.
func (db *DB) Pause(ctx context.Context, why string) error {
	return db.Update(ctx, func(tx *Tx) error { return tx.setPaused(why) })
}

// Resume takes the pause back.
func (db *DB) Resume(ctx context.Context) error {
	return db.Update(ctx, func(tx *Tx) error {
		if _, err := tx.exec("DELETE FROM setting WHERE name = ?", pausedSetting); err != nil {
			return fmt.Errorf("resuming: %w", err)
		}
		return nil
	})
}

// Paused is why nothing may be sent, or empty.
func (db *DB) Paused(ctx context.Context) (why string, err error) {
	var text []byte
	err = db.View(ctx, func(tx *Tx) error {
		_, err := tx.get("SELECT value FROM setting WHERE name = ?", []any{pausedSetting}, &text)
		return err
	})
	return string(text), err
}
