package queue

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// claimMost bounds one claim.
const claimMost = 64

// storeWait is how long a lane rests when the database did not take what became of its job.
const storeWait = 2 * time.Second

// claim takes tokens while workers are free. Handlers run under tail, so that they may finish when ctx ends.
func (s *run) claim(ctx, tail context.Context, p *pool) {
	var t trouble
	for {
		n := p.free(ctx)
		if n == 0 {
			return
		}
		tokens, err := s.Scheduler.Claim(ctx, n, p.lowest, s.Poll)
		s.start(tail, p, tokens) // there may be some beside an error
		if err == nil {
			t.over(s.log, "claiming")
		} else if ctx.Err() == nil {
			t.report(s.log, "claiming", err)
		}
		for range n - len(tokens) {
			p.slots <- struct{}{}
		}
		if err != nil && !sleep(ctx, t.wait(s.Poll)) {
			return
		}
	}
}

// free takes all free workers, at least one, or none if ctx ended.
func (p *pool) free(ctx context.Context) int {
	select {
	case <-ctx.Done():
		return 0
	default:
	}
	select {
	case <-p.slots:
	case <-ctx.Done():
		return 0
	}
	n := 1
	for n < claimMost {
		select {
		case <-p.slots:
			n++
		default:
			return n
		}
	}
	return n
}

// start loads the jobs of tokens and lets them run. Each token holds one slot, which is given back when it is settled.
func (s *run) start(ctx context.Context, p *pool, tokens []Token) {
	if len(tokens) == 0 {
		return
	}
	ids := make([]int64, len(tokens))
	for i, t := range tokens {
		ids[i] = t.ID
	}
	jobs, err := s.Store.Load(ctx, ids)
	if err != nil {
		s.log.Warn("the queue waits", "doing", "loading jobs", "error", err)
	}
	byID := make(map[int64]Stored, len(jobs))
	for _, j := range jobs {
		byID[j.ID] = j
	}
	for _, t := range tokens {
		j, ok := byID[t.ID]
		switch {
		case err != nil:
			s.settle(t, s.Now().Add(storeWait), p, nil)
		case !ok: // finished or withdrawn
			s.settle(t, time.Time{}, p, nil)
		case j.Due.After(s.Now()):
			s.settle(t, j.Due, p, nil)
		default:
			s.launch(ctx, p, t, j.Job)
		}
	}
}

// launch runs one job in a goroutine of its own, unless its lane still runs here: a scheduler that forgot may hand out
// a lane twice.
func (s *run) launch(ctx context.Context, p *pool, t Token, job Job) {
	ctx, cancel := context.WithCancelCause(ctx)
	f := &flight{token: t, cancel: cancel}
	s.mu.Lock()
	if s.running[t.Lane] != nil {
		s.mu.Unlock()
		cancel(nil)
		s.settle(t, s.Now().Add(s.Poll), p, nil)
		return
	}
	s.running[t.Lane] = f
	s.mu.Unlock()
	s.busy.Go(func() {
		defer cancel(nil)
		s.settle(t, s.work(ctx, job), p, f)
	})
}

// work runs a job and writes down what became of it. It returns until when the lane must wait, zero to go on.
func (s *run) work(ctx context.Context, job Job) time.Time {
	began := s.Now()
	err := s.handle(ctx, job)
	if cause := context.Cause(ctx); err != nil && (cause == errStopping || cause == errLost) {
		return s.Now() // not the job's fault: whoever claims it next runs it
	}
	if errors.Is(err, ErrFinished) {
		return time.Time{}
	}
	d := s.Policy.Decide(job, err, s.Now())
	if err := s.record(context.WithoutCancel(ctx), job, d); err != nil {
		s.log.Warn("the queue waits", "doing", "recording an outcome", "kind", job.Kind, "error", err)
		return s.Now().Add(storeWait)
	}
	if s.Observer != nil {
		s.Observer.JobEnded(job, d.Outcome, d.Delay.Reason, s.Now().Sub(began))
	}
	if d.Outcome == Snoozed || d.Outcome == Retried {
		return d.Delay.Due
	}
	return time.Time{}
}

// handle calls the handler; a panic is an error.
func (s *run) handle(ctx context.Context, job Job) (err error) {
	h := s.Handlers[job.Kind]
	if h == nil {
		return Dead(fmt.Errorf("no handler for jobs of kind %q", job.Kind))
	}
	ctx, cancel := context.WithTimeout(ctx, s.Policy.timeout())
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v\n%s", errPanic, p, debug.Stack())
		}
	}()
	return h(ctx, job)
}

func (s *run) record(ctx context.Context, job Job, d Decision) error {
	switch {
	case d.Held:
		return nil
	case d.Outcome == Snoozed || d.Outcome == Retried:
		return s.Store.Postpone(ctx, job.ID, d.Delay)
	case d.Outcome == DeadJob:
		return s.Store.Bury(ctx, job.ID, d.Delay)
	default:
		_, err := s.Store.Finish(ctx, job.ID, d.Outcome, d.Delay.Reason)
		return err // a handler that finished the job itself is the usual case
	}
}

// settle is a token on its way back to the scheduler.
type settle struct {
	Settlement
	pool   *pool
	flight *flight
}

func (s *run) settle(t Token, due time.Time, p *pool, f *flight) {
	s.settles <- settle{Settlement{Token: t, Due: due}, p, f}
}

// settleAll gives tokens back in batches until the channel is closed and empty.
func (s *run) settleAll(ctx context.Context) {
	var t trouble
	for first := range s.settles {
		batch := []settle{first}
	more:
		for len(batch) < pumpBatch {
			select {
			case next, ok := <-s.settles:
				if !ok {
					break more
				}
				batch = append(batch, next)
			default:
				break more
			}
		}
		s.settleBatch(ctx, batch, &t)
	}
}

// settleBatch tries twice and then lets go: tokens that nobody settles are taken over when their lease ends.
func (s *run) settleBatch(ctx context.Context, batch []settle, t *trouble) {
	list := make([]Settlement, len(batch))
	for i, b := range batch {
		list[i] = b.Settlement
	}
	for range 2 {
		_, err := s.Scheduler.Settle(ctx, list)
		if err == nil {
			t.over(s.log, "settling")
			break
		}
		t.report(s.log, "settling", err)
		sleep(ctx, t.wait(s.Poll))
	}
	s.mu.Lock()
	for _, b := range batch {
		if b.flight != nil && s.running[b.Token.Lane] == b.flight {
			delete(s.running, b.Token.Lane)
		}
	}
	s.mu.Unlock()
	for _, b := range batch {
		b.pool.slots <- struct{}{}
	}
}
