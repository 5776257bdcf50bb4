package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"footbridge/queue"
)

var _ queue.Tx = (*Tx)(nil)

// dedupWindow is how long a finished job's Dedup value is remembered. It is longer than any job may stay pending.
const dedupWindow = 30 * 24 * time.Hour

// jobCounter names the counter that job ids are drawn from.
const jobCounter = "job"

const jobColumns = "id, kind, lane, subject, bucket, epoch, priority, dedup, earliest, due, payload, attempt, deferred, created"

// maxDetail bounds the error text kept with a job.
const maxDetail = 600

// Enqueue implements queue.Tx.
func (tx *Tx) Enqueue(jobs ...queue.Job) error {
	if len(jobs) == 0 {
		return nil
	}
	last, err := tx.next(jobCounter, int64(len(jobs)))
	if err != nil {
		return fmt.Errorf("numbering jobs: %w", err)
	}
	for i, j := range jobs {
		j.ID = last - int64(len(jobs)-1-i)
		if err := tx.insertJob(j); err != nil {
			return fmt.Errorf("enqueueing a %s job: %w", j.Kind, err)
		}
	}
	tx.wakeQueue()
	return nil
}

// wakeQueue tells the pumps once per transaction.
func (tx *Tx) wakeQueue() {
	if tx.db == nil || tx.woken {
		return
	}
	tx.woken = true
	tx.AfterCommit(tx.db.wakeQueue)
}

func (tx *Tx) insertJob(j queue.Job) error {
	if j.Kind == "" {
		return fmt.Errorf("a job without a kind")
	}
	if fresh, err := tx.claimDedup(j.Dedup); err != nil || !fresh {
		return err
	}
	if j.Created.IsZero() {
		j.Created = tx.now
	}
	if j.Payload == nil {
		j.Payload = []byte{}
	}
	j.Priority = min(max(j.Priority, queue.Urgent), queue.Backfill)
	_, err := tx.exec("INSERT INTO job ("+jobColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		j.ID, j.Kind, j.Key, j.Subject, bucket(j.Subject), j.Epoch, int64(j.Priority), j.Dedup, micros(j.After), micros(j.After), j.Payload, j.Attempt, j.Deferred, micros(j.Created))
	return err
}

// buckets is how many buckets subjects are divided into; it must never change.
const buckets = 64

// bucket is where a subject's jobs are found; nobody's are in none.
func bucket(subject string) int64 {
	if subject == "" {
		return -1
	}
	sum := sha256.Sum256([]byte(subject))
	return int64(sum[0]) % buckets
}

// claimDedup reports whether the value has not been enqueued within the window.
func (tx *Tx) claimDedup(value string) (bool, error) {
	if value == "" {
		return true, nil
	}
	h := sha256.Sum256([]byte(value))
	n, err := tx.exec("INSERT INTO job_dedup (hash, at) VALUES (?, ?) ON CONFLICT (hash) DO UPDATE SET at = excluded.at WHERE job_dedup.at < ?",
		h[:], tx.now.UnixMicro(), tx.now.Add(-dedupWindow).UnixMicro())
	return n == 1, err
}

// FinishJob implements queue.Tx.
func (tx *Tx) FinishJob(id int64, _ queue.Outcome, _ string) (bool, error) {
	n, err := tx.exec("DELETE FROM job WHERE id = ?", id)
	if err != nil {
		return false, fmt.Errorf("finishing a job: %w", err)
	}
	return n == 1, nil
}

// DropSubjectJobs implements queue.Tx. Dead letters of the subject go as well.
func (tx *Tx) DropSubjectJobs(subject string, epoch int64, keepKinds ...string) (int, error) {
	if subject == "" {
		return 0, fmt.Errorf("dropping the jobs of nobody")
	}
	where, args := " WHERE bucket = ? AND bucket >= 0 AND subject = ? AND epoch < ?", []any{bucket(subject), subject, epoch}
	if len(keepKinds) > 0 {
		where += " AND NOT (priority = 0 AND kind IN (" + marks(len(keepKinds)) + "))"
		for _, k := range keepKinds {
			args = append(args, k)
		}
	}
	n, err := tx.exec("DELETE FROM job"+where, args...)
	if err != nil {
		return 0, fmt.Errorf("dropping a subject's jobs: %w", err)
	}
	if _, err := tx.exec("DELETE FROM dead_job"+where, args...); err != nil {
		return 0, fmt.Errorf("dropping a subject's dead letters: %w", err)
	}
	return int(n), nil
}

// postponeJob keeps a job pending until d.Due.
func (tx *Tx) postponeJob(id int64, d queue.Delay) error {
	_, err := tx.exec("UPDATE job SET due = ?, attempt = ?, deferred = ?, reason = ?, detail = ? WHERE id = ?",
		micros(d.Due), d.Attempt, d.Deferred, d.Reason, cut(d.Detail, maxDetail), id)
	return err
}

// buryJob moves a job to the dead letters.
func (tx *Tx) buryJob(id int64, d queue.Delay) error {
	n, err := tx.exec(`INSERT INTO dead_job (`+jobColumns+`, reason, detail, died)
		SELECT id, kind, lane, subject, bucket, epoch, priority, dedup, earliest, due, payload, CAST(? AS BIGINT), deferred, created, CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS BIGINT) FROM job WHERE id = ?`,
		d.Attempt, d.Reason, cut(d.Detail, maxDetail), tx.now.UnixMicro(), id)
	if err != nil || n == 0 {
		return err
	}
	_, err = tx.exec("DELETE FROM job WHERE id = ?", id)
	return err
}

// pendingRefs lists references after an id.
func (tx *Tx) pendingRefs(after int64, limit int) ([]queue.Ref, error) {
	refs := make([]queue.Ref, 0, limit)
	err := tx.each("SELECT id, lane, subject, priority FROM job WHERE id > ? ORDER BY id LIMIT ?", []any{after, limit}, func(scan func(...any) error) error {
		var id, priority int64
		var lane, subject string
		if err := scan(&id, &lane, &subject, &priority); err != nil {
			return err
		}
		refs = append(refs, queue.NewRef(id, lane, subject, queue.Priority(priority)))
		return nil
	})
	return refs, err
}

// pendingJobs loads those of the jobs that are still there.
func (tx *Tx) pendingJobs(ids []int64) ([]queue.Stored, error) {
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id
	}
	jobs := make([]queue.Stored, 0, len(ids))
	err := tx.each("SELECT "+jobColumns+" FROM job WHERE id IN ("+marks(len(ids))+")", args, func(scan func(...any) error) error {
		j, err := scanJob(scan)
		jobs = append(jobs, j)
		return err
	})
	return jobs, err
}

func scanJob(scan func(...any) error, more ...any) (queue.Stored, error) {
	var j queue.Stored
	var bucket, priority, earliest, due, created int64
	dest := append([]any{&j.ID, &j.Kind, &j.Key, &j.Subject, &bucket, &j.Epoch, &priority, &j.Dedup, &earliest, &due, &j.Payload, &j.Attempt, &j.Deferred, &created}, more...)
	if err := scan(dest...); err != nil {
		return j, err
	}
	j.Priority, j.Due, j.Created = queue.Priority(priority), fromMicros(due), fromMicros(created)
	j.After = fromMicros(earliest)
	return j, nil
}

func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?, ", n), ", ") }

// micros stores a time; the zero time is 0, the past of all pasts.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// cut shortens text to n bytes of valid UTF-8; PostgreSQL takes neither broken text nor NUL.
func cut(s string, n int) string {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "")
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}

// Queue is the outbox as a queue.Store, with what an operator needs besides.
type Queue struct{ db *DB }

var _ queue.Store = Queue{}

// Queue returns the outbox.
func (db *DB) Queue() Queue { return Queue{db} }

// OnEnqueue implements queue.Store.
func (q Queue) OnEnqueue(wake func()) {
	q.db.hooks.Lock()
	defer q.db.hooks.Unlock()
	q.db.wakes = append(q.db.wakes, wake)
}

func (db *DB) wakeQueue() {
	db.hooks.Lock()
	defer db.hooks.Unlock()
	for _, wake := range db.wakes {
		wake()
	}
}

// Tail implements queue.Store. The one writer draws ids in the order of commits, so nothing appears behind a cursor.
func (q Queue) Tail(ctx context.Context, after int64, limit int) (refs []queue.Ref, err error) {
	err = q.db.View(ctx, func(tx *Tx) error {
		refs, err = tx.pendingRefs(after, limit)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the outbox: %w", err)
	}
	return refs, nil
}

// Load implements queue.Store.
func (q Queue) Load(ctx context.Context, ids []int64) (jobs []queue.Stored, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	err = q.db.View(ctx, func(tx *Tx) error {
		jobs, err = tx.pendingJobs(ids)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("loading jobs: %w", err)
	}
	return jobs, nil
}

// Finish implements queue.Store.
func (q Queue) Finish(ctx context.Context, id int64, o queue.Outcome, reason string) (ok bool, err error) {
	err = q.db.Update(ctx, func(tx *Tx) error {
		ok, err = tx.FinishJob(id, o, reason)
		return err
	})
	return ok, err
}

// Postpone implements queue.Store.
func (q Queue) Postpone(ctx context.Context, id int64, d queue.Delay) error {
	if err := q.db.Update(ctx, func(tx *Tx) error { return tx.postponeJob(id, d) }); err != nil {
		return fmt.Errorf("postponing a job: %w", err)
	}
	return nil
}

// Bury implements queue.Store.
func (q Queue) Bury(ctx context.Context, id int64, d queue.Delay) error {
	if err := q.db.Update(ctx, func(tx *Tx) error { return tx.buryJob(id, d) }); err != nil {
		return fmt.Errorf("burying a job: %w", err)
	}
	return nil
}
