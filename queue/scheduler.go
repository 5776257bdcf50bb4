package queue

import (
	"context"
	"errors"
	"time"
)

// ErrGap says that a Scheduler does not have all references up to where a batch begins: the pump must ask Cursor.
var ErrGap = errors.New("the scheduler's cursor is behind the batch")

// ErrUnfit says that a Scheduler's server can never be used as it is set up; the message says what to change.
var ErrUnfit = errors.New("unfit for the queue")

// Token is the right to run the head job of one lane. Mark and Entry are the driver's own.
type Token struct {
	Ref
	Mark, Entry string
}

// Settlement ends a token: with a zero Due the job leaves its lane, else the lane waits until Due with the job at its head.
type Settlement struct {
	Token Token
	Due   time.Time
}

// Scheduler orders references to jobs. It may forget all of them at any time: it then says so by an earlier Cursor, and
// the pump ships them again. What must hold: of each lane at most one token is out; a lane's jobs come in ascending id.
type Scheduler interface {
	// Open checks that the driver can be used and binds it to one outbox. An ErrUnfit is final, any other error may pass.
	Open(ctx context.Context, generation string) error
	// Cursor is the id up to which the scheduler has had all references.
	Cursor(ctx context.Context) (int64, error)
	// Enqueue hands over all references with from < ID <= through, ascending. Those it has had are passed over, so a
	// call may be repeated. It returns ErrGap, and takes nothing of that part, if its cursor is before from.
	Enqueue(ctx context.Context, from, through int64, refs []Ref) error
	// Claim takes up to n tokens of the classes up to lowest, waiting up to block for the first.
	Claim(ctx context.Context, n int, lowest Priority, block time.Duration) ([]Token, error)
	// Settle ends tokens and reports how many were no longer the caller's.
	Settle(ctx context.Context, s []Settlement) (stale int, err error)
	// Promote makes up to n waiting lanes ready whose time has come.
	Promote(ctx context.Context, now time.Time, n int) (int, error)
	// Len is how many references it holds.
	Len(ctx context.Context) (int64, error)
}

// Leaser is a Scheduler whose tokens are lent for a time, since other processes may take them over.
type Leaser interface {
	// Lease is how long a token may go without Keep.
	Lease() time.Duration
	// Keep renews tokens and returns those that are no longer the caller's; their handlers must stop.
	Keep(ctx context.Context, tokens []Token) (lost []Token, err error)
}

// shareCycle is how many claims pass until the lower classes have had what is theirs.
const shareCycle = 16

// Shares divides claims among the priorities so that no class starves: of each 16, one is offered to Backfill first and
// three to Normal, the others go in order of priority. Both drivers use it, so that they answer alike.
type Shares struct{ turn int }

// Step asks for up to Max tokens of one class.
type Step struct {
	Priority Priority
	Max      int
}

// Next plans a claim of n tokens of the classes up to lowest.
func (s *Shares) Next(n int, lowest Priority) []Step {
	if lowest == Urgent {
		return []Step{{Urgent, n}}
	}
	var normal, backfill int
	for range n {
		switch s.turn % shareCycle {
		case 3, 7, 11:
			normal++
		case 15:
			backfill++
		}
		s.turn++
	}
	steps := make([]Step, 0, 5)
	if backfill > 0 && lowest >= Backfill {
		steps = append(steps, Step{Backfill, backfill})
	}
	if normal > 0 {
		steps = append(steps, Step{Normal, normal})
	}
	steps = append(steps, Step{Urgent, n}, Step{Normal, n})
	if lowest >= Backfill {
		steps = append(steps, Step{Backfill, n})
	}
	return steps
}
