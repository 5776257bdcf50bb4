package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"footbridge/queue"
)

// ErrNoDeadLetter says that there is no dead letter with the id.
var ErrNoDeadLetter = errors.New("no such dead letter")

// generationSetting holds the name of this outbox, see queue.Store.
const generationSetting = "queue.generation"

// retryBatch bounds how many dead letters one transaction revives.
const retryBatch = 500

// Generation implements queue.Store.
func (q Queue) Generation(ctx context.Context) (g string, err error) {
	err = q.db.Update(ctx, func(tx *Tx) error {
		var have []byte
		ok, err := tx.get("SELECT value FROM setting WHERE name = ?", []any{generationSetting}, &have)
		if err != nil || ok {
			g = string(have)
			return err
		}
		g, err = tx.renewGeneration()
		return err
	})
	if err != nil {
		return "", fmt.Errorf("naming the outbox: %w", err)
	}
	return g, nil
}

// renewGeneration gives the outbox a new name, so that every scheduler begins anew.
func (tx *Tx) renewGeneration() (string, error) {
	g := rand.Text()[:12]
	_, err := tx.exec("INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", generationSetting, []byte(g))
	return g, err
}

// Depths tells how much waits in each class.
func (q Queue) Depths(ctx context.Context) (out []queue.Depth, err error) {
	out = []queue.Depth{{Priority: queue.Urgent}, {Priority: queue.Normal}, {Priority: queue.Backfill}}
	err = q.db.View(ctx, func(tx *Tx) error {
		now := tx.now.UnixMicro()
		return tx.each(`SELECT priority, COUNT(*), COALESCE(SUM(CASE WHEN due <= ? THEN 1 ELSE 0 END), 0),
			COALESCE(MIN(CASE WHEN due > ? THEN NULL WHEN due > created THEN due ELSE created END), 0) FROM job GROUP BY priority`, []any{now, now},
			func(scan func(...any) error) error {
				var p, pending, ready, oldest int64
				if err := scan(&p, &pending, &ready, &oldest); err != nil {
					return err
				}
				out[p].Pending, out[p].Ready, out[p].Oldest = pending, ready, fromMicros(oldest)
				return nil
			})
	})
	if err != nil {
		return nil, fmt.Errorf("measuring the queue: %w", err)
	}
	return out, nil
}

// Pending lists pending jobs in order of id after the one given.
func (q Queue) Pending(ctx context.Context, after int64, limit int) (jobs []queue.Stored, err error) {
	err = q.db.View(ctx, func(tx *Tx) error {
		return tx.each("SELECT "+jobColumns+" FROM job WHERE id > ? ORDER BY id LIMIT ?", []any{after, limit}, func(scan func(...any) error) error {
			j, err := scanJob(scan)
			jobs = append(jobs, j)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("listing jobs: %w", err)
	}
	return jobs, nil
}

// DeadLetters lists dead letters in order of id after the one given.
func (q Queue) DeadLetters(ctx context.Context, after int64, limit int) (letters []queue.DeadLetter, err error) {
	err = q.db.View(ctx, func(tx *Tx) error {
		letters, err = tx.deadLetters("WHERE id > ? ORDER BY id LIMIT ?", after, limit)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing dead letters: %w", err)
	}
	return letters, nil
}

// DeadLetter returns one dead letter, or ErrNoDeadLetter.
func (q Queue) DeadLetter(ctx context.Context, id int64) (queue.DeadLetter, error) {
	var letters []queue.DeadLetter
	err := q.db.View(ctx, func(tx *Tx) (err error) {
		letters, err = tx.deadLetters("WHERE id = ?", id)
		return err
	})
	if err != nil {
		return queue.DeadLetter{}, fmt.Errorf("reading a dead letter: %w", err)
	}
	if len(letters) == 0 {
		return queue.DeadLetter{}, ErrNoDeadLetter
	}
	return letters[0], nil
}

func (tx *Tx) deadLetters(where string, args ...any) (out []queue.DeadLetter, err error) {
	err = tx.each("SELECT "+jobColumns+", reason, detail, died FROM dead_job "+where, args, func(scan func(...any) error) error {
		var d queue.DeadLetter
		var died int64
		j, err := scanJob(scan, &d.Reason, &d.Detail, &died)
		d.Job, d.Died = j.Job, fromMicros(died)
		out = append(out, d)
		return err
	})
	return out, err
}

// CountDead is how many dead letters there are, and when the oldest died (zero if none).
func (q Queue) CountDead(ctx context.Context) (n int64, oldest time.Time, err error) {
	var at int64
	err = q.db.View(ctx, func(tx *Tx) error {
		_, err := tx.get("SELECT COUNT(*), COALESCE(MIN(died), 0) FROM dead_job", nil, &n, &at)
		return err
	})
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("counting dead letters: %w", err)
	}
	return n, fromMicros(at), nil
}

// Retry makes a dead letter pending again, at the end of its key's lane, with its attempts counted anew. Its new id is
// returned.
func (q Queue) Retry(ctx context.Context, id int64) (fresh int64, err error) {
	err = q.db.Update(ctx, func(tx *Tx) error {
		fresh, err = tx.reviveJob(id)
		return err
	})
	return fresh, err
}

// RetryAll makes all dead letters up to now pending again, in their order, and returns how many.
func (q Queue) RetryAll(ctx context.Context) (n int, err error) {
	var last int64
	if err := q.db.View(ctx, func(tx *Tx) error {
		_, err := tx.get("SELECT COALESCE(MAX(id), 0) FROM dead_job", nil, &last)
		return err
	}); err != nil {
		return 0, fmt.Errorf("counting dead letters: %w", err)
	}
	for {
		did, err := q.retryBatch(ctx, last)
		n += did
		if err != nil || did == 0 {
			return n, err
		}
	}
}

func (q Queue) retryBatch(ctx context.Context, last int64) (n int, err error) {
	err = q.db.Update(ctx, func(tx *Tx) error {
		n = 0
		var ids []int64
		if err := tx.each("SELECT id FROM dead_job WHERE id <= ? ORDER BY id LIMIT ?", []any{last, retryBatch}, func(scan func(...any) error) error {
			var id int64
			err := scan(&id)
			ids = append(ids, id)
			return err
		}); err != nil {
			return fmt.Errorf("listing dead letters: %w", err)
		}
		for _, id := range ids {
			if _, err := tx.reviveJob(id); err != nil {
				return err
			}
		}
		n = len(ids)
		return nil
	})
	return n, err
}

// reviveJob gives the job a new id, for the schedulers' cursors have passed the old one.
func (tx *Tx) reviveJob(id int64) (int64, error) {
	fresh, err := tx.next(jobCounter, 1)
	if err != nil {
		return 0, fmt.Errorf("numbering a job: %w", err)
	}
	n, err := tx.exec(`INSERT INTO job (`+jobColumns+`) SELECT CAST(? AS BIGINT), kind, lane, subject, bucket, epoch, priority, dedup, CAST(0 AS BIGINT), CAST(0 AS BIGINT), payload, CAST(0 AS BIGINT), deferred, CAST(? AS BIGINT)
		FROM dead_job WHERE id = ?`, fresh, tx.now.UnixMicro(), id)
	if err != nil {
		return 0, fmt.Errorf("reviving a dead letter: %w", err)
	}
	if n == 0 {
		return 0, ErrNoDeadLetter
	}
	if _, err := tx.exec("DELETE FROM dead_job WHERE id = ?", id); err != nil {
		return 0, fmt.Errorf("reviving a dead letter: %w", err)
	}
	tx.wakeQueue()
	return fresh, nil
}

// Discard removes a dead letter for good.
func (q Queue) Discard(ctx context.Context, id int64) error {
	return q.db.Update(ctx, func(tx *Tx) error {
		n, err := tx.exec("DELETE FROM dead_job WHERE id = ?", id)
		if err != nil {
			return fmt.Errorf("discarding a dead letter: %w", err)
		}
		if n == 0 {
			return ErrNoDeadLetter
		}
		return nil
	})
}

// Prune forgets finished work whose retention is over: dedup values, and dead letters older than keepDead. It returns
// how many rows went.
func (q Queue) Prune(ctx context.Context, keepDead time.Duration) (n int64, err error) {
	err = q.db.Update(ctx, func(tx *Tx) error {
		a, err := tx.exec("DELETE FROM job_dedup WHERE at < ?", tx.now.Add(-dedupWindow).UnixMicro())
		if err != nil {
			return fmt.Errorf("pruning the queue's memory: %w", err)
		}
		b, err := tx.exec("DELETE FROM dead_job WHERE died < ?", tx.now.Add(-keepDead).UnixMicro())
		if err != nil {
			return fmt.Errorf("pruning dead letters: %w", err)
		}
		n = a + b
		return nil
	})
	return n, err
}
