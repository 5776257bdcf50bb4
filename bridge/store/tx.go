package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// batchLimit bounds how many updates share one commit.
const batchLimit = 128

// writerLock serialises writers of all processes on PostgreSQL, as SQLite does by itself.
const writerLock = 0x666f6f74

// Tx is a transaction. It implements the Tx interfaces of all rooms and is valid only inside the function it is given to.
type Tx struct {
	ctx   context.Context
	sql   *sql.Tx
	pg    bool
	now   time.Time
	db    *DB
	after []func()
	woken bool // the queue's wake-up is in after
	// quiet is ctx without its end: the driver starts a goroutine for each statement that could be interrupted. A batch is
	// bounded by its transaction.
	quiet context.Context
	stmts *statements
}

type request struct {
	ctx  context.Context
	fn   func(*Tx) error
	done chan error
	tx   *Tx
	err  error
}

// Update runs fn in a transaction that is durable when Update returns nil; concurrent updates share a commit. If fn
// returns an error, only its own changes are undone and the error is returned as it is. fn must not call Update.
// On PostgreSQL fn may run twice, so it must have no effect but through tx.
func (db *DB) Update(ctx context.Context, fn func(*Tx) error) error {
	r := &request{ctx: ctx, fn: fn, done: make(chan error, 1)}
	select {
	case db.requests <- r:
	case <-ctx.Done():
		return ctx.Err()
	case <-db.closing:
		return ErrClosed
	}
	return <-r.done
}

// View runs fn in a read-only transaction over one snapshot.
func (db *DB) View(ctx context.Context, fn func(*Tx) error) error {
	t, err := db.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: db.viewIsolation()})
	if err != nil {
		return fmt.Errorf("beginning a read: %w", err)
	}
	defer func() { _ = t.Rollback() }() // a read has nothing to lose
	return fn(&Tx{ctx: ctx, sql: t, pg: db.pg, now: db.now(), db: db, quiet: ctx})
}

func (db *DB) viewIsolation() sql.IsolationLevel {
	if db.pg {
		return sql.LevelRepeatableRead
	}
	return sql.LevelDefault
}

// writer is the only goroutine that writes; it batches what waits.
func (db *DB) writer() {
	defer db.done.Done()
	for {
		select {
		case r := <-db.requests:
			db.runBatch(db.gather(r))
			db.wipeLog()
		case <-db.closing:
			return
		}
	}
}

func (db *DB) gather(first *request) []*request {
	batch := []*request{first}
	for len(batch) < batchLimit {
		select {
		case r := <-db.requests:
			batch = append(batch, r)
		default:
			return batch
		}
	}
	return batch
}

// runBatch answers every request exactly once.
func (db *DB) runBatch(batch []*request) {
	err := db.commitBatch(batch)
	for _, r := range batch {
		if err != nil && r.err == nil {
			r.err = err
		}
		if r.err == nil {
			db.runHooks(r.tx.after)
		}
		r.done <- r.err
	}
}

// runHooks runs what waited for a commit. The update is durable: a hook that panics cannot take that back.
func (db *DB) runHooks(hooks []func()) {
	for _, f := range hooks {
		func() {
			defer func() {
				if p := recover(); p != nil {
					db.log.Error("a hook after a commit panicked", "panic", p, "stack", string(debug.Stack()))
				}
			}()
			f()
		}()
	}
}

func (db *DB) commitBatch(batch []*request) error {
	// A batch belongs to nobody: one caller's cancelled context must not undo the others' work.
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	t, stmts, err := db.begin(ctx)
	if err != nil {
		return fmt.Errorf("beginning a write: %w", err)
	}
	defer func() { _ = t.Rollback() }() // after a commit this does nothing
	if db.pg {
		if _, err := t.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", writerLock); err != nil {
			return fmt.Errorf("waiting for the writer's lock: %w", err)
		}
	}
	for _, r := range batch {
		if err := db.runOne(ctx, t, stmts, r); err != nil {
			return err
		}
	}
	if err := t.Commit(); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	return nil
}

// runOne runs a request between savepoints. It returns an error only if the whole batch is lost.
func (db *DB) runOne(ctx context.Context, t *sql.Tx, stmts *statements, r *request) error {
	if r.err = r.ctx.Err(); r.err != nil {
		return nil
	}
	if _, err := t.ExecContext(ctx, "SAVEPOINT one"); err != nil {
		return fmt.Errorf("setting a savepoint: %w", err)
	}
	r.tx = &Tx{ctx: ctx, sql: t, pg: db.pg, now: db.now(), db: db, quiet: context.WithoutCancel(ctx), stmts: stmts}
	r.err = guard(r.fn, r.tx)
	if r.err != nil {
		if _, err := t.ExecContext(ctx, "ROLLBACK TO SAVEPOINT one"); err != nil {
			return fmt.Errorf("rolling back to a savepoint: %w", err)
		}
	}
	if _, err := t.ExecContext(ctx, "RELEASE SAVEPOINT one"); err != nil {
		return fmt.Errorf("releasing a savepoint: %w", err)
	}
	return nil
}

// guard turns a panic of one update, or the end of its goroutine, into its error, so that neither the others of the
// batch nor the writer are lost with it.
func guard(fn func(*Tx) error, tx *Tx) error {
	done := make(chan error, 1)
	go func() {
		err := errors.New("an update ended its goroutine")
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic in an update: %v\n%s", p, debug.Stack())
			}
			done <- err
		}()
		err = fn(tx)
	}()
	return <-done
}

// Now is the time of the transaction.
func (tx *Tx) Now() time.Time { return tx.now }

// Context is the transaction's own.
func (tx *Tx) Context() context.Context { return tx.ctx }

// AfterCommit runs f once the transaction is durable; f must be quick and must not block.
func (tx *Tx) AfterCommit(f func()) { tx.after = append(tx.after, f) }

// exec runs a statement with ? placeholders and returns how many rows it touched.
func (tx *Tx) exec(query string, args ...any) (int64, error) {
	res, err := tx.execContext(tx.bind(query), args)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// get scans the first row into dest; it reports false when there is none.
func (tx *Tx) get(query string, args []any, dest ...any) (bool, error) {
	rows, done, err := tx.queryContext(tx.bind(query), args)
	if err != nil {
		return false, err
	}
	defer done()
	defer func() { _ = rows.Close() }() // Err below says what matters
	if !rows.Next() {
		return false, rows.Err()
	}
	if err := rows.Scan(dest...); err != nil {
		return false, err
	}
	return true, rows.Close()
}

// each calls f for every row; f scans by calling scan.
func (tx *Tx) each(query string, args []any, f func(scan func(...any) error) error) error {
	rows, done, err := tx.queryContext(tx.bind(query), args)
	if err != nil {
		return err
	}
	defer done()
	defer func() { _ = rows.Close() }() // Err below says what matters
	for rows.Next() {
		if err := f(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// bind turns ? placeholders into $1, $2, ... for PostgreSQL. No statement of ours has a literal question mark.
func (tx *Tx) bind(query string) string {
	if !tx.pg || !strings.Contains(query, "?") {
		return query
	}
	var b strings.Builder
	n := 0
	for _, r := range query {
		if r != '?' {
			b.WriteRune(r)
			continue
		}
		n++
		b.WriteString("$" + strconv.Itoa(n))
	}
	return b.String()
}

// next draws the next value of a named counter. The one writer makes values visible in the order they are drawn.
func (tx *Tx) next(name string, n int64) (int64, error) {
	var v int64
	_, err := tx.get(`INSERT INTO counter (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = counter.value + excluded.value RETURNING value`,
		[]any{name, n}, &v)
	return v, err
}

// Room gives one room the transactions it knows: T is its own Tx interface, which *Tx implements.
type Room[T any] struct{ DB *DB }

// Update is DB.Update.
func (r Room[T]) Update(ctx context.Context, fn func(T) error) error {
	return r.DB.Update(ctx, func(tx *Tx) error { return fn(any(tx).(T)) })
}

// View is DB.View.
func (r Room[T]) View(ctx context.Context, fn func(T) error) error {
	return r.DB.View(ctx, func(tx *Tx) error { return fn(any(tx).(T)) })
}
