package store

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// A backup is text, the same for both engines, so one engine's can be restored into the other: a line that says what
// it is, then for each table a line with its columns and one array for each row, then a line with the number of rows and
// the SHA-256 of all before it. Bytes are {"b": base64}; text that is not UTF-8 is {"t": base64}.

// backupFormat is the version of the format.
const backupFormat = 1

type backupHead struct {
	Format int       `json:"footbridge_backup"`
	Schema int       `json:"schema"`
	Made   time.Time `json:"made"`
}

type backupTable struct {
	Table   string   `json:"table"`
	Columns []string `json:"columns"`
}

type backupEnd struct {
	Rows int64  `json:"rows"`
	Sum  string `json:"sha256"`
}

// encoded is a value that JSON has no form for.
type encoded struct {
	Bytes *string `json:"b,omitempty"`
	Text  *string `json:"t,omitempty"`
}

// Backup writes all tables as they are at one moment. The database can be used meanwhile. What it writes is as private
// as the database; keys in it are sealed. Keep the journal (see Journal) and the sealing key elsewhere.
func (db *DB) Backup(ctx context.Context, w io.Writer) error {
	return db.View(ctx, func(tx *Tx) error {
		b := newBackupWriter(w)
		head := backupHead{Format: backupFormat, Made: tx.now.UTC()}
		if _, err := tx.get("SELECT MAX(version) FROM schema_version", nil, &head.Schema); err != nil {
			return fmt.Errorf("reading the schema's version: %w", err)
		}
		b.line(head)
		tables, err := tx.tables()
		if err != nil {
			return err
		}
		for _, t := range tables {
			if err := tx.dump(b, t); err != nil {
				return fmt.Errorf("backing up %s: %w", t, err)
			}
		}
		return b.end()
	})
}

// tables lists our tables by name.
func (tx *Tx) tables() ([]string, error) {
	query := "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
	if tx.pg {
		query = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
	}
	names, err := tx.strings(query)
	if err != nil {
		return nil, fmt.Errorf("listing tables: %w", err)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return n == "schema_version" })
	slices.Sort(names)
	return names, nil
}

func (tx *Tx) dump(b *backupWriter, table string) error {
	rows, err := tx.sql.QueryContext(tx.ctx, "SELECT * FROM "+quote(table))
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // Err below says what matters
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	b.line(backupTable{Table: table, Columns: columns})
	values, dest := make([]any, len(columns)), make([]any, len(columns))
	for i := range dest {
		dest[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		if err := b.row(values); err != nil {
			return err
		}
	}
	return rows.Err()
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// backupWriter keeps the first error.
type backupWriter struct {
	out  *bufio.Writer
	sum  hash.Hash
	rows int64
	err  error
}

func newBackupWriter(w io.Writer) *backupWriter {
	return &backupWriter{out: bufio.NewWriterSize(w, 1<<16), sum: sha256.New()}
}

func (b *backupWriter) line(v any) {
	if b.err != nil {
		return
	}
	text, err := json.Marshal(v)
	if err != nil {
		b.err = err
		return
	}
	text = append(text, '\n')
	b.sum.Write(text)
	_, b.err = b.out.Write(text)
}

func (b *backupWriter) row(values []any) error {
	out := make([]any, len(values))
	for i, v := range values {
		switch v := v.(type) {
		case nil, int64:
			out[i] = v
		case []byte:
			s := base64.StdEncoding.EncodeToString(v)
			out[i] = encoded{Bytes: &s}
		case string:
			out[i] = v
			if !utf8.ValidString(v) {
				s := base64.StdEncoding.EncodeToString([]byte(v))
				out[i] = encoded{Text: &s}
			}
		default:
			return fmt.Errorf("a value of type %T", v)
		}
	}
	b.rows++
	b.line(out)
	return b.err
}

func (b *backupWriter) end() error {
	b.line(backupEnd{Rows: b.rows, Sum: hex.EncodeToString(b.sum.Sum(nil))})
	if b.err == nil {
		b.err = b.out.Flush()
	}
	if b.err != nil {
		return fmt.Errorf("writing the backup: %w", b.err)
	}
	return nil
}
