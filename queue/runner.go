package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Runner runs jobs: it pumps references from the outbox to the scheduler, claims tokens, runs handlers and settles. All
// fields are set before Run and not changed after.
type Runner struct {
	Store     Store
	Scheduler Scheduler
	Handlers  map[string]Handler
	// Workers is how many jobs run at once; 0 means 16. An eighth of them runs urgent jobs only.
	Workers int
	Policy  Policy
	// Now is the clock that due times are compared with; nil means time.Now.
	Now func() time.Time
	// Log gets warnings about the queue, never about whose job; nil discards.
	Log *slog.Logger
	// Observer may be nil.
	Observer Observer
	// Poll is how often the outbox, the waiting lanes and the scheduler are looked at without being told; 0 means 200 ms.
	Poll time.Duration
	// Drain is how long running handlers may go on when Run's context ends; 0 means 15 s.
	Drain time.Duration
	// Window bounds the references in the scheduler; more wait in the outbox. 0 means 2,000,000.
	Window int64
}

// run is the state of one Run.
type run struct {
	Runner
	wake    chan struct{}
	pools   []*pool
	settles chan settle
	busy    sync.WaitGroup
	log     *slog.Logger

	mu      sync.Mutex
	running map[uint64]*flight // by lane

	ready func()
}

// pool is some of the workers. Most run jobs of all classes, a few urgent ones only: what takes something back must not
// wait for slow hosts.
type pool struct {
	slots  chan struct{} // one element for each free worker
	lowest Priority
}

func newPool(n int, lowest Priority) *pool {
	p := &pool{slots: make(chan struct{}, n), lowest: lowest}
	for range n {
		p.slots <- struct{}{}
	}
	return p
}

// flight is a job that runs.
type flight struct {
	token  Token
	cancel context.CancelCauseFunc
	lost   bool
}

// Run works until ctx ends, then lets running handlers finish and returns nil. It returns an error only if the scheduler
// is unfit (ErrUnfit); an absent database or Redis is waited for.
func (r *Runner) Run(ctx context.Context) error {
	s := r.prepare()
	if err := s.open(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	// What settles and keeps leases must outlive the handlers.
	tail, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var loops, settling sync.WaitGroup
	loops.Go(func() { s.pump(ctx) })
	loops.Go(func() { s.promote(ctx) })
	loops.Go(func() { s.keep(tail) })
	settling.Go(func() { s.settleAll(tail) })
	var claims sync.WaitGroup
	for _, p := range s.pools {
		claims.Go(func() { s.claim(ctx, tail, p) })
	}
	claims.Wait()
	s.drain()
	close(s.settles)
	settling.Wait()
	stop()
	loops.Wait()
	return nil
}

func (r *Runner) prepare() *run {
	s := &run{Runner: *r, wake: make(chan struct{}, 1), running: map[uint64]*flight{}}
	if s.Workers <= 0 {
		s.Workers = 16
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	if s.Poll <= 0 {
		s.Poll = 200 * time.Millisecond
	}
	if s.Drain <= 0 {
		s.Drain = 15 * time.Second
	}
	if s.Window <= 0 {
		s.Window = 2_000_000
	}
	s.log = s.Log
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.pools = []*pool{newPool(s.Workers, Backfill)}
	if reserved := s.Workers / 8; reserved > 0 {
		s.pools = []*pool{newPool(s.Workers-reserved, Backfill), newPool(reserved, Urgent)}
	}
	s.settles = make(chan settle, s.Workers)
	r.Store.OnEnqueue(s.nudge)
	return s
}

// nudge wakes the pump.
func (s *run) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// open waits until the database and the scheduler answer.
func (s *run) open(ctx context.Context) error {
	var t trouble
	for {
		err := s.tryOpen(ctx)
		if err == nil || errors.Is(err, ErrUnfit) {
			return err
		}
		t.report(s.log, "opening the queue", err)
		if !sleep(ctx, t.wait(s.Poll)) {
			return ctx.Err()
		}
	}
}

func (s *run) tryOpen(ctx context.Context) error {
	generation, err := s.Store.Generation(ctx)
	if err != nil {
		return err
	}
	if err := s.Scheduler.Open(ctx, generation); err != nil {
		return fmt.Errorf("opening the scheduler: %w", err)
	}
	return nil
}

// drain waits for the handlers, then cancels them and waits again: a handler must heed its context.
func (s *run) drain() {
	done := make(chan struct{})
	go func() { s.busy.Wait(); close(done) }()
	t := time.NewTimer(s.Drain)
	defer t.Stop()
	select {
	case <-done:
		return
	case <-t.C:
	}
	s.mu.Lock()
	for _, f := range s.running {
		f.cancel(errStopping)
	}
	s.mu.Unlock()
	<-done
}

var (
	errStopping = errors.New("the process is stopping")
	errLost     = errors.New("the lease was lost")
)

// sleep waits for d and reports false if ctx ended before.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// trouble keeps one loop from flooding the log, or the thing that is down.
type trouble struct{ n int }

func (t *trouble) report(log *slog.Logger, what string, err error) {
	if t.n == 0 {
		log.Warn("the queue waits", "doing", what, "error", err)
	}
	t.n++
}

func (t *trouble) over(log *slog.Logger, what string) {
	if t.n > 0 {
		log.Info("the queue goes on", "doing", what, "failures", t.n)
	}
	t.n = 0
}

func (t *trouble) wait(poll time.Duration) time.Duration {
	return min(poll<<min(t.n, 5), 3*time.Second)
}
