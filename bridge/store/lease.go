package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"syscall"
	"time"
)

// ErrHeld says that another process has the lease.
var ErrHeld = errors.New("another process has it")

// leaseCheck is how often a lease on PostgreSQL is looked after.
const leaseCheck = 2 * time.Second

// Lease is the right of one process to play a role that only one may play, such as the sequencer's. It ends with the
// process, however that ends: it is a lock of the kernel on a file beside a SQLite database, and a session lock on
// PostgreSQL.
type Lease struct {
	file *os.File
	conn *sql.Conn
	lost chan struct{}
	stop context.CancelFunc
}

// Lease takes the lease of a name or returns ErrHeld.
func (db *DB) Lease(ctx context.Context, name string) (*Lease, error) {
	if !db.pg {
		return fileLease(db.path + "." + name + ".lock")
	}
	return db.sessionLease(ctx, name)
}

func fileLease(path string) (*Lease, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening a lease: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("taking a lease: %w", ErrHeld), f.Close())
	}
	return &Lease{file: f, lost: make(chan struct{}), stop: func() {}}, nil
}

func (db *DB) sessionLease(ctx context.Context, name string) (*Lease, error) {
	conn, err := db.write.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("opening a lease: %w", err)
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte("footbridge lease " + name)) // a hash never fails to write
	var got bool
	err = conn.QueryRowContext(ctx, "SELECT pg_try_advisory_lock($1)", int64(h.Sum64())).Scan(&got) //nolint:gosec // any 64 bits will do
	if err == nil && !got {
		err = ErrHeld
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("taking a lease: %w", err), conn.Close())
	}
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	l := &Lease{conn: conn, lost: make(chan struct{}), stop: stop}
	go l.watch(watching)
	return l, nil
}

// watch closes lost when the session that holds the lock is gone: somebody else may have it from then on.
func (l *Lease) watch(ctx context.Context) {
	tick := time.NewTicker(leaseCheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			ping, cancel := context.WithTimeout(ctx, leaseCheck)
			_, err := l.conn.ExecContext(ping, "SELECT 1")
			cancel()
			if err != nil && ctx.Err() == nil {
				close(l.lost)
				return
			}
		}
	}
}

// Lost is closed when the lease is lost; whoever plays the role must stop at once.
func (l *Lease) Lost() <-chan struct{} { return l.lost }

// Close gives the lease back.
func (l *Lease) Close() error {
	l.stop()
	if l.file != nil {
		return l.file.Close()
	}
	// The connection must not go back to the pool with the lock still on it.
	_, err := l.conn.ExecContext(context.Background(), "SELECT pg_advisory_unlock_all()")
	return errors.Join(err, l.conn.Close())
}
