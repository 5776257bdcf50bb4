package queue

import (
	"context"
	"errors"
	"time"
)

// pumpBatch is how many references are shipped in one call.
const pumpBatch = 512

// promoteBatch is how many lanes are made ready in one call.
const promoteBatch = 256

// pump ships references in order of id, from wherever the scheduler's cursor is.
func (s *run) pump(ctx context.Context) {
	var t trouble
	at := int64(-1) // unknown
	for ctx.Err() == nil {
		next, more, err := s.ship(ctx, at)
		if err != nil {
			t.report(s.log, "pumping", err)
			at = -1
			if !sleep(ctx, t.wait(s.Poll)) {
				return
			}
			continue
		}
		t.over(s.log, "pumping")
		at = next
		if more {
			continue
		}
		// Asking anew each time notices a scheduler that forgot, even while nothing comes in.
		at = -1
		s.idle(ctx)
	}
}

// idle waits for a commit that enqueued, or for the next look.
func (s *run) idle(ctx context.Context) {
	t := time.NewTimer(s.Poll)
	defer t.Stop()
	select {
	case <-s.wake:
	case <-t.C:
	case <-ctx.Done():
	}
}

// ship hands over one batch after the cursor, and reports the new cursor and whether more may follow at once.
func (s *run) ship(ctx context.Context, at int64) (int64, bool, error) {
	var err error
	if at < 0 {
		if at, err = s.Scheduler.Cursor(ctx); err != nil {
			return 0, false, err
		}
	}
	held, err := s.Scheduler.Len(ctx)
	if err != nil {
		return 0, false, err
	}
	if held >= s.Window {
		return at, false, nil
	}
	refs, err := s.Store.Tail(ctx, at, pumpBatch)
	if err != nil || len(refs) == 0 {
		return at, false, err
	}
	through := refs[len(refs)-1].ID
	err = s.Scheduler.Enqueue(ctx, at, through, refs)
	if errors.Is(err, ErrGap) {
		return -1, true, nil
	}
	if err != nil {
		return 0, false, err
	}
	return through, len(refs) == pumpBatch, nil
}

// promote makes lanes ready whose time has come.
func (s *run) promote(ctx context.Context) {
	var t trouble
	for sleep(ctx, t.wait(s.Poll/2)) {
		n := promoteBatch
		for n == promoteBatch && ctx.Err() == nil {
			var err error
			if n, err = s.Scheduler.Promote(ctx, s.Now(), promoteBatch); err != nil {
				if ctx.Err() == nil {
					t.report(s.log, "waking what waited", err)
				}
				break
			}
			t.over(s.log, "waking what waited")
		}
	}
}

// keep renews the leases of running jobs, and stops those whose lease is gone.
func (s *run) keep(ctx context.Context) {
	l, ok := s.Scheduler.(Leaser)
	if !ok {
		return
	}
	kept := time.Now()
	var t trouble
	for sleep(ctx, l.Lease()/4) {
		tokens := s.out()
		if len(tokens) == 0 {
			kept = time.Now()
			continue
		}
		lost, err := l.Keep(ctx, tokens)
		if err == nil {
			kept = time.Now()
			t.over(s.log, "keeping leases")
			s.lose(lost)
			continue
		}
		t.report(s.log, "keeping leases", err)
		if time.Since(kept) > l.Lease() {
			s.lose(tokens) // somebody else may run them by now
		}
	}
}

// out lists the tokens of running jobs.
func (s *run) out() []Token {
	s.mu.Lock()
	defer s.mu.Unlock()
	tokens := make([]Token, 0, len(s.running))
	for _, f := range s.running {
		if !f.lost {
			tokens = append(tokens, f.token)
		}
	}
	return tokens
}

func (s *run) lose(tokens []Token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range tokens {
		if f := s.running[t.Lane]; f != nil && f.token == t {
			f.lost = true
			f.cancel(errLost)
		}
	}
}
