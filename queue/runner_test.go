package queue_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"footbridge/bridge/store"
	"footbridge/queue"
	"footbridge/queue/memlane"
)

// rig is a runner over a real database.
type rig struct {
	t  *testing.T
	db *store.DB
	r  *queue.Runner

	mu    sync.Mutex
	ends  []string // "kind outcome reason"
	shift time.Duration
}

func newRig(t *testing.T) *rig {
	t.Helper()
	g := &rig{t: t}
	db, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "q.db"), Now: g.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	g.db = db
	g.r = &queue.Runner{
		Store: db.Queue(), Scheduler: memlane.New(), Handlers: map[string]queue.Handler{}, Workers: 4,
		Now: g.now, Observer: g, Poll: 10 * time.Millisecond,
		Policy: queue.Policy{Jitter: func() float64 { return 0 }},
	}
	return g
}

func (g *rig) now() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return time.Now().Add(g.shift)
}

// skip moves the clock.
func (g *rig) skip(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shift += d
}

func (g *rig) JobEnded(j queue.Job, o queue.Outcome, reason string, _ time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ends = append(g.ends, fmt.Sprintf("%s %s %s", j.Kind, o, reason))
}

func (g *rig) ended() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.ends)
}

func (g *rig) enqueue(jobs ...queue.Job) {
	g.t.Helper()
	if err := g.db.Update(g.t.Context(), func(tx *store.Tx) error { return tx.Enqueue(jobs...) }); err != nil {
		g.t.Fatal(err)
	}
}

// start runs the runner and returns a function that ends it and waits.
func (g *rig) start() (stop func()) {
	ctx, cancel := context.WithCancel(g.t.Context())
	done := make(chan error, 1)
	go func() { done <- g.r.Run(ctx) }()
	return func() {
		g.t.Helper()
		cancel()
		if err := <-done; err != nil {
			g.t.Fatal(err)
		}
	}
}

// until waits for a condition.
func (g *rig) until(what string, ok func() bool) {
	g.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		if ok() {
			return
		}
		tick := time.NewTimer(2 * time.Millisecond)
		<-tick.C
	}
	g.t.Fatalf("waited in vain for: %s; ends: %v", what, g.ended())
}

func (g *rig) pending() int64 {
	g.t.Helper()
	depths, err := g.db.Queue().Depths(g.t.Context())
	if err != nil {
		g.t.Fatal(err)
	}
	var n int64
	for _, d := range depths {
		n += d.Pending
	}
	return n
}

func TestRunsInOrderOfKey(t *testing.T) {
	g := newRig(t)
	var mu sync.Mutex
	got := map[string][]string{}
	busy := map[string]bool{}
	g.r.Handlers["work"] = func(_ context.Context, j queue.Job) error {
		mu.Lock()
		if busy[j.Key] {
			t.Errorf("two jobs of %s at once", j.Key)
		}
		busy[j.Key] = true
		mu.Unlock()
		mu.Lock()
		defer mu.Unlock()
		busy[j.Key] = false
		got[j.Key] = append(got[j.Key], string(j.Payload))
		return nil
	}
	stop := g.start()
	want := map[string][]string{}
	for i := range 200 {
		key, body := fmt.Sprintf("k%d", i%7), fmt.Sprint(i)
		want[key] = append(want[key], body)
		g.enqueue(queue.Job{Kind: "work", Key: key, Priority: queue.Priority(i % 3), Payload: []byte(body)})
	}
	g.until("all done", func() bool { return g.pending() == 0 })
	stop()
	for key, list := range want {
		if !slices.Equal(got[key], list) {
			t.Errorf("%s ran as %v, want %v", key, got[key], list)
		}
	}
}

func TestOutcomes(t *testing.T) {
	g := newRig(t)
	fail := errors.New("no luck")
	var runs sync.Map
	count := func(j queue.Job) int {
		n, _ := runs.LoadOrStore(j.Kind, new(int))
		*n.(*int)++
		return *n.(*int)
	}
	once := func(err error) queue.Handler {
		return func(_ context.Context, j queue.Job) error {
			if count(j) == 1 {
				return err
			}
			return nil
		}
	}
	g.r.Handlers = map[string]queue.Handler{
		"done":   func(context.Context, queue.Job) error { return nil },
		"drop":   func(context.Context, queue.Job) error { return queue.Drop("no_consent") },
		"dead":   func(context.Context, queue.Job) error { return queue.Dead(fail) },
		"retry":  once(fail),
		"later":  once(queue.RetryAfter(time.Hour, fail)),
		"snooze": once(queue.Snooze("parent", time.Minute)),
		"hold":   once(queue.Hold("host_down", time.Minute)),
		"panic": func(_ context.Context, j queue.Job) error {
			if count(j) == 1 {
				panic("boom")
			}
			return nil
		},
	}
	stop := g.start()
	for kind := range g.r.Handlers {
		g.enqueue(queue.Job{Kind: kind, Key: kind})
	}
	g.enqueue(queue.Job{Kind: "unknown"})
	g.until("first runs", func() bool { return len(g.ended()) >= 9 })
	g.skip(2 * time.Hour)
	g.until("all settled", func() bool { return g.pending() == 0 })
	stop()
	want := []string{
		"dead dead permanent", "done done ", "drop dropped no_consent", "hold done ", "hold snoozed host_down",
		"later done ", "later retried retry_after", "panic done ", "panic retried panic", "retry done ", "retry retried error",
		"snooze done ", "snooze snoozed parent", "unknown dead permanent",
	}
	got := g.ended()
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("ends:\n%q\nwant\n%q", got, want)
	}
	letters, err := g.db.Queue().DeadLetters(t.Context(), 0, 10)
	if err != nil || len(letters) != 2 {
		t.Fatalf("dead letters: %v %v", letters, err)
	}
}

func TestFailureHoldsItsKeyOnly(t *testing.T) {
	g := newRig(t)
	g.r.Workers = 1
	first := true
	g.r.Handlers["work"] = func(_ context.Context, j queue.Job) error {
		if string(j.Payload) == "a1" && first {
			first = false
			return errors.New("not yet")
		}
		return nil
	}
	g.enqueue(queue.Job{Kind: "work", Key: "a", Payload: []byte("a1")}, queue.Job{Kind: "work", Key: "a", Payload: []byte("a2")},
		queue.Job{Kind: "work", Key: "b", Payload: []byte("b1")})
	stop := g.start()
	defer stop()
	g.until("b ran while a waits", func() bool { return len(g.ended()) == 2 && g.pending() == 2 })
	g.skip(time.Minute)
	g.until("a went on", func() bool { return g.pending() == 0 })
}

func TestDrainsWhatRuns(t *testing.T) {
	g := newRig(t)
	began, release := make(chan bool), make(chan bool)
	g.r.Handlers["slow"] = func(ctx context.Context, _ queue.Job) error {
		close(began)
		<-release
		return ctx.Err()
	}
	g.enqueue(queue.Job{Kind: "slow"})
	stop := g.start()
	<-began
	time.AfterFunc(20*time.Millisecond, func() { close(release) })
	stop()
	if g.pending() != 0 {
		t.Error("the running job was not allowed to finish")
	}
}

func TestDrainGivesUpWithoutCountingAnAttempt(t *testing.T) {
	g := newRig(t)
	g.r.Drain = 10 * time.Millisecond
	began := make(chan bool)
	g.r.Handlers["endless"] = func(ctx context.Context, _ queue.Job) error {
		close(began)
		<-ctx.Done()
		return ctx.Err()
	}
	g.enqueue(queue.Job{Kind: "endless"})
	stop := g.start()
	<-began
	stop()
	jobs, err := g.db.Queue().Pending(t.Context(), 0, 10)
	if err != nil || len(jobs) != 1 || jobs[0].Attempt != 0 {
		t.Errorf("pending after the drain: %+v %v", jobs, err)
	}
}

func TestDedupAndWithdrawal(t *testing.T) {
	g := newRig(t)
	var mu sync.Mutex
	var ran []string
	g.r.Handlers["erase"] = func(_ context.Context, j queue.Job) error {
		mu.Lock()
		defer mu.Unlock()
		ran = append(ran, j.Kind)
		return nil
	}
	g.r.Handlers["post"] = g.r.Handlers["erase"]
	g.enqueue(
		queue.Job{Kind: "post", Subject: "did:a", Dedup: "x"}, queue.Job{Kind: "post", Subject: "did:a", Dedup: "x"},
		queue.Job{Kind: "erase", Subject: "did:a", Priority: queue.Urgent}, queue.Job{Kind: "post", Subject: "did:a", Epoch: 1},
	)
	if n := g.pending(); n != 3 {
		t.Fatalf("%d pending, want 3: the second x is a duplicate", n)
	}
	err := g.db.Update(t.Context(), func(tx *store.Tx) error {
		n, err := tx.DropSubjectJobs("did:a", 1, "erase")
		if n != 1 {
			t.Errorf("%d jobs dropped, want 1", n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	stop := g.start()
	g.until("all ran", func() bool { return g.pending() == 0 })
	stop()
	slices.Sort(ran)
	if !slices.Equal(ran, []string{"erase", "post"}) {
		t.Errorf("ran %v", ran)
	}
}

// TestUrgentJobsHaveWorkersOfTheirOwn fills all other workers with jobs that never end.
func TestUrgentJobsHaveWorkersOfTheirOwn(t *testing.T) {
	g := newRig(t)
	g.r.Workers = 8
	g.r.Drain = time.Millisecond
	g.r.Handlers["stuck"] = func(ctx context.Context, _ queue.Job) error { <-ctx.Done(); return ctx.Err() }
	g.r.Handlers["withdraw"] = func(context.Context, queue.Job) error { return nil }
	for range 20 {
		g.enqueue(queue.Job{Kind: "stuck", Priority: queue.Normal}, queue.Job{Kind: "stuck", Priority: queue.Backfill})
	}
	stop := g.start()
	defer stop()
	for range 5 {
		before := len(g.ended())
		g.enqueue(queue.Job{Kind: "withdraw", Priority: queue.Urgent})
		g.until("the urgent job ran", func() bool { return len(g.ended()) == before+1 })
	}
}
