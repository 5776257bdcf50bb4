// Package store keeps every table of Footbridge behind one transaction type, on SQLite and on PostgreSQL. It is the only
// package that speaks SQL. Both engines promise the same: one writer at a time, updates that are durable when Update
// returns, and reads that see whole transactions.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the "pgx" driver
	_ "modernc.org/sqlite"             // the "sqlite" driver
)

// Options say where the data lies.
type Options struct {
	// URL is a postgres:// URL, or empty for SQLite.
	URL string
	// Path is the SQLite file, used when URL is empty.
	Path string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Log gets warnings; nil discards.
	Log *slog.Logger
}

// DB is an open database. It is safe for concurrent use.
type DB struct {
	write, read *sql.DB
	pg          bool
	path        string // of the SQLite file
	now         func() time.Time
	log         *slog.Logger
	stmts       *statements // the writer's, on SQLite

	requests chan *request
	closing  chan struct{}
	done     sync.WaitGroup
	once     sync.Once

	wiping atomic.Bool // the write-ahead log is to be emptied

	hooks sync.Mutex
	wakes []func() // called after commits that enqueued jobs
}

// ErrClosed is returned by Update after Close.
var ErrClosed = errors.New("store is closed")

// Open opens the database, creating the SQLite file if need be, and runs the migrations.
func Open(ctx context.Context, o Options) (*DB, error) {
	db, err := dial(o)
	if err != nil {
		return nil, err
	}
	if err := db.migrate(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("migrating the database: %w", err), db.closePools())
	}
	db.serve()
	return db, nil
}

// dial prepares the pools; it neither migrates nor writes.
func dial(o Options) (*DB, error) {
	db := &DB{now: o.Now, log: o.Log, requests: make(chan *request), closing: make(chan struct{})}
	if db.now == nil {
		db.now = time.Now
	}
	if db.log == nil {
		db.log = slog.New(slog.DiscardHandler)
	}
	if err := db.connect(o); err != nil {
		return nil, err
	}
	return db, nil
}

// serve starts the writer.
func (db *DB) serve() {
	db.done.Add(1)
	go db.writer()
}

func (db *DB) connect(o Options) error {
	if o.URL != "" {
		return db.connectPostgres(o.URL)
	}
	if o.Path == "" {
		return errors.New("opening the database: neither a URL nor a path was given")
	}
	db.path = o.Path
	// A file: URI gives ?, # and % a meaning, which they must not have in a path.
	path := strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(o.Path)
	dsn := "file:" + path + "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(ON)&_pragma=secure_delete(ON)&_txlock=immediate"
	var err error
	// The writer alone gets a page cache that holds the hot ends of a long outbox; 32 MiB.
	if db.write, err = sql.Open("sqlite", dsn+"&_pragma=cache_size(-32768)"); err != nil {
		return fmt.Errorf("opening %s: %w", o.Path, err)
	}
	db.write.SetMaxOpenConns(1)
	if db.read, err = sql.Open("sqlite", strings.Replace(dsn, "&_txlock=immediate", "&_pragma=query_only(ON)", 1)); err != nil {
		return fmt.Errorf("opening %s: %w", o.Path, err)
	}
	db.read.SetMaxOpenConns(8)
	return nil
}

func (db *DB) connectPostgres(url string) error {
	db.pg = true
	pool, err := sql.Open("pgx", url)
	if err != nil {
		return fmt.Errorf("opening the PostgreSQL database: %w", err)
	}
	pool.SetMaxOpenConns(16)
	pool.SetMaxIdleConns(8)
	db.write, db.read = pool, pool
	return nil
}

// Close waits for the running batch and closes the pools.
func (db *DB) Close() error {
	db.once.Do(func() { close(db.closing) })
	db.done.Wait()
	return db.closePools()
}

func (db *DB) closePools() error {
	if db.write == db.read {
		return db.write.Close()
	}
	return errors.Join(db.stmts.close(), db.write.Close(), db.read.Close())
}
