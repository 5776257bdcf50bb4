package queue

import (
	"errors"
	"fmt"
	"time"
)

// Outcome is how a run of a job ended. The set is closed.
type Outcome string

// Every run ends in exactly one of these.
const (
	Done    Outcome = "done"
	Dropped Outcome = "dropped"
	Snoozed Outcome = "snoozed"
	Retried Outcome = "retried"
	DeadJob Outcome = "dead"
)

// ErrFinished says that somebody else already finished the job; the effect in hand must be rolled back.
var ErrFinished = errors.New("job already finished")

// Verdict is an error that carries a named outcome from a handler to the runner.
type Verdict struct {
	Outcome Outcome
	Reason  string
	After   time.Duration
	Err     error

	held bool // see Hold
}

func (v *Verdict) Error() string {
	if v.Err != nil {
		return fmt.Sprintf("%s (%s): %v", v.Outcome, v.Reason, v.Err)
	}
	return fmt.Sprintf("%s (%s)", v.Outcome, v.Reason)
}

func (v *Verdict) Unwrap() error { return v.Err }

// Drop ends the job for good without an effect, for a named reason.
func Drop(reason string) error { return &Verdict{Outcome: Dropped, Reason: reason} }

// Snooze runs the job again after d without counting an attempt; its key waits.
func Snooze(reason string, d time.Duration) error {
	return &Verdict{Outcome: Snoozed, Reason: reason, After: d}
}

// RetryAfter runs the job again no sooner than d, counting an attempt.
func RetryAfter(d time.Duration, err error) error {
	return &Verdict{Outcome: Retried, Reason: "retry_after", After: d, Err: err}
}

// Dead gives up: the job becomes a dead letter that an operator can look at and retry.
func Dead(err error) error { return &Verdict{Outcome: DeadJob, Reason: "permanent", Err: err} }

// Hold puts the job off without counting anything and without a trace in the database: for what concerns not the job
// but a place that it needs, such as a host that is down. Its key waits. See Breaker.
func Hold(reason string, d time.Duration) error {
	return &Verdict{Outcome: Snoozed, Reason: reason, After: d, held: true}
}
