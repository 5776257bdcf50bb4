// Package queue carries work in order and loses none: jobs are rows in the outbox of the caller's database (the truth),
// a Scheduler (memlane, redislane) orders references to them per key, and a Runner executes handlers. It knows no SQL
// and no Redis.
package queue

import (
	"context"
	"time"
)

// Priority orders jobs of different keys. Within a key, order is enqueue order whatever the priority.
type Priority int8

// Undo, withdrawals and replies go first, backfill last; no class starves another.
const (
	Urgent   Priority = 0
	Normal   Priority = 1
	Backfill Priority = 2
)

// Job is one unit of work.
type Job struct {
	// ID is the outbox sequence, set by the store.
	ID int64
	// Kind selects the handler.
	Kind string
	// Key is the lane: at most one job of a key runs at a time, in enqueue order. Empty: no order.
	Key string
	// Subject is whose consent the job acts on, in the words of package identity; its pending jobs vanish on withdrawal.
	Subject string
	// Epoch is the subject's epoch when the job was made.
	Epoch int64
	// Priority is the class.
	Priority Priority
	// Dedup, if set, makes enqueueing a second job with the same value (pending or finished within the retention
	// window) a no-op.
	Dedup string
	// After is the earliest time to run.
	After time.Time
	// Payload is the handler's own, JSON by convention.
	Payload []byte
	// Attempt counts runs so far; Deferred counts snoozes (parents waited for).
	Attempt, Deferred int
	// Created is when the job was enqueued.
	Created time.Time
}

// Handler runs one job. It returns nil for done, an error made by Drop, Snooze, RetryAfter or Dead for that outcome, and
// any other error to be retried by the policy. A handler that commits its effect calls Tx.FinishJob in the same
// transaction; the Runner's own finish is then a no-op.
type Handler func(ctx context.Context, job Job) error

// Tx is what the store's transaction offers to those who make and finish jobs.
type Tx interface {
	// Enqueue writes jobs to the outbox; they run after the commit, never before.
	Enqueue(jobs ...Job) error
	// FinishJob marks a job done (or dropped, with the reason) in this transaction. It reports false when the job was
	// already finished or removed, in which case the caller must roll its effect back by returning ErrFinished.
	FinishJob(id int64, outcome Outcome, reason string) (bool, error)
	// DropSubjectJobs removes the pending jobs of a subject that are older than epoch, except urgent ones of the kinds
	// given; it returns how many went.
	DropSubjectJobs(subject string, epoch int64, keepKinds ...string) (int, error)
}
