package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// maxStatements bounds the cache; statements are constants, but for a few with lists.
const maxStatements = 512

// statements are the prepared statements of SQLite's one writing connection: parsing costs more than most of them take to
// run. PostgreSQL's driver keeps its own. Only the writer's goroutine uses it.
type statements struct {
	conn  *sql.Conn
	ready map[string]*sql.Stmt
	// busy are statements whose rows are being read; they cannot be run again meanwhile.
	busy map[string]bool
}

// begin starts a transaction of the writer.
func (db *DB) begin(ctx context.Context) (*sql.Tx, *statements, error) {
	if db.pg {
		t, err := db.write.BeginTx(ctx, nil)
		return t, nil, err
	}
	if db.stmts == nil {
		// The connection lives as long as the database, not as the batch that opened it.
		conn, err := db.write.Conn(context.WithoutCancel(ctx))
		if err != nil {
			return nil, nil, err
		}
		db.stmts = &statements{conn: conn, ready: map[string]*sql.Stmt{}, busy: map[string]bool{}}
	}
	t, err := db.stmts.conn.BeginTx(ctx, nil)
	if err != nil {
		// A connection that went bad is replaced at the next batch.
		err = errors.Join(err, db.stmts.close())
		db.stmts = nil
	}
	return t, db.stmts, err
}

func (s *statements) close() error {
	if s == nil {
		return nil
	}
	var errs []error
	for _, st := range s.ready {
		errs = append(errs, st.Close())
	}
	return errors.Join(append(errs, s.conn.Close())...)
}

// get returns a statement that is free to run, or nil.
func (s *statements) get(ctx context.Context, query string) (*sql.Stmt, error) {
	if s == nil || s.busy[query] {
		return nil, nil
	}
	if st := s.ready[query]; st != nil {
		return st, nil
	}
	if len(s.ready) >= maxStatements {
		return nil, nil
	}
	st, err := s.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("preparing a statement: %w", err)
	}
	s.ready[query] = st
	return st, nil
}

func (tx *Tx) execContext(query string, args []any) (sql.Result, error) {
	st, err := tx.stmts.get(tx.quiet, query)
	if err != nil {
		return nil, err
	}
	if st == nil {
		return tx.sql.ExecContext(tx.quiet, query, args...)
	}
	return st.ExecContext(tx.quiet, args...)
}

// queryContext returns rows and what must be called when they have been read.
func (tx *Tx) queryContext(query string, args []any) (*sql.Rows, func(), error) {
	st, err := tx.stmts.get(tx.quiet, query)
	if err != nil {
		return nil, nil, err
	}
	if st == nil {
		rows, err := tx.sql.QueryContext(tx.quiet, query, args...)
		return rows, func() {}, err
	}
	rows, err := st.QueryContext(tx.quiet, args...)
	if err != nil {
		return nil, nil, err
	}
	tx.stmts.busy[query] = true
	return rows, func() { delete(tx.stmts.busy, query) }, nil
}
