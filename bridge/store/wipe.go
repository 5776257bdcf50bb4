package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Deleted rows must be gone from the disk too. SQLite overwrites what is deleted (PRAGMA secure_delete), but its
// write-ahead log keeps older pages until it is emptied; that happens here, after whatever shreds or sweeps. On
// PostgreSQL this is VACUUM's and the operator's (docs/operate.md).

// wipePatience is how long the writer waits for readers before it tries again after the next batch.
const wipePatience = 100 * time.Millisecond

// wipe asks for an empty write-ahead log once the transaction is durable.
func (tx *Tx) wipe() {
	if !tx.pg {
		tx.AfterCommit(func() { tx.db.wiping.Store(true) })
	}
}

// wipeLog empties the log if that was asked for; readers may make it wait until after the next batch. Only the writer's
// goroutine calls it, on the one connection that it keeps.
func (db *DB) wipeLog() {
	if !db.wiping.Load() || db.stmts == nil {
		return
	}
	busy, err := checkpoint(context.Background(), db.stmts.conn)
	if err != nil {
		db.log.Error("the write-ahead log could not be emptied", slog.Any("error", err))
	}
	if !busy {
		db.wiping.Store(false)
	}
}

func checkpoint(ctx context.Context, conn *sql.Conn) (busy bool, err error) {
	if _, err := conn.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout(%d)", wipePatience.Milliseconds())); err != nil {
		return false, err
	}
	var held, frames, done int
	err = conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&held, &frames, &done)
	_, back := conn.ExecContext(ctx, "PRAGMA busy_timeout(10000)")
	return held != 0, errors.Join(err, back)
}

// Wipe empties the write-ahead log now, so that nothing that was deleted is left in it. It reports false if readers held
// it, in which case it follows by itself. On PostgreSQL it does nothing.
func (db *DB) Wipe(ctx context.Context) (bool, error) {
	for range 2 { // the second returns after the log was dealt with
		err := db.Update(ctx, func(tx *Tx) error {
			tx.wipe()
			return nil
		})
		if err != nil {
			return false, fmt.Errorf("emptying the write-ahead log: %w", err)
		}
	}
	return !db.wiping.Load(), nil
}
