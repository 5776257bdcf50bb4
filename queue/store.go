package queue

import (
	"context"
	"time"
)

// Store is the outbox as the Runner sees it.
type Store interface {
	// Generation names this outbox; it changes when a backup is restored, so that no scheduler trusts old cursors.
	Generation(ctx context.Context) (string, error)
	// Tail lists references to pending jobs after an id, ascending, at most limit.
	Tail(ctx context.Context, after int64, limit int) ([]Ref, error)
	// Load returns those of the jobs that are still pending.
	Load(ctx context.Context, ids []int64) ([]Stored, error)
	// Finish ends a job as done or dropped; it reports false if the job was not pending any more.
	Finish(ctx context.Context, id int64, o Outcome, reason string) (bool, error)
	// Postpone keeps a job pending until d.Due.
	Postpone(ctx context.Context, id int64, d Delay) error
	// Bury turns a job into a dead letter.
	Bury(ctx context.Context, id int64, d Delay) error
	// OnEnqueue registers a function that is called after each commit that enqueued jobs; it must not block.
	OnEnqueue(wake func())
}

// Stored is a pending job with the time before which it must not run.
type Stored struct {
	Job
	Due time.Time
}

// Delay is what changes when a job is put off or buried.
type Delay struct {
	Due               time.Time
	Attempt, Deferred int
	// Reason is a short word, Detail the error's text for the operator.
	Reason, Detail string
}

// DeadLetter is a job that was given up.
type DeadLetter struct {
	Job
	Reason, Detail string
	Died           time.Time
}

// Depth is how much waits in one class.
type Depth struct {
	Priority Priority
	// Pending counts all, Ready those that are due.
	Pending, Ready int64
	// Oldest is when the oldest ready job was enqueued or fell due; zero if none is ready.
	Oldest time.Time
}

// Observer is told of every end of a run. It must be quick and safe for concurrent use.
type Observer interface {
	JobEnded(job Job, o Outcome, reason string, took time.Duration)
}
