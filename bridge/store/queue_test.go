package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"footbridge/queue"
)

// clock is a time that tests move.
type clock struct{ micros atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.micros.Store(1_700_000_000_000_000)
	return c
}

func (c *clock) now() time.Time          { return time.UnixMicro(c.micros.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.micros.Add(d.Microseconds()) }

// eachQueue runs a test over the outbox of every engine, with a clock.
func eachQueue(t *testing.T, f func(t *testing.T, db *DB, q Queue, c *clock)) {
	eachPlace(t, func(t *testing.T, e engine) {
		c := newClock()
		e.o.Now = c.now
		db := e.open(t)
		f(t, db, db.Queue(), c)
	})
}

func enqueue(t *testing.T, db *DB, jobs ...queue.Job) {
	t.Helper()
	must(t, db, func(tx *Tx) error { return tx.Enqueue(jobs...) })
}

// kinds lists what is pending.
func kinds(t *testing.T, q Queue) string {
	t.Helper()
	jobs, err := q.Pending(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, j := range jobs {
		out = append(out, j.Kind)
	}
	return strings.Join(out, " ")
}

func TestJobsComeBackAsTheyWere(t *testing.T) {
	eachQueue(t, func(t *testing.T, db *DB, q Queue, c *clock) {
		want := queue.Job{Kind: "k", Key: "key ü", Subject: "did:a", Epoch: 7, Priority: queue.Backfill, Dedup: "d",
			After: c.now().Add(time.Hour), Payload: []byte{0, 255, 'x'}}
		enqueue(t, db, want, queue.Job{Kind: "bare"})
		jobs, err := q.Load(t.Context(), []int64{1, 2, 99})
		if err != nil || len(jobs) != 2 {
			t.Fatalf("loaded %v (%v)", jobs, err)
		}
		slices.SortFunc(jobs, func(a, b queue.Stored) int { return int(a.ID - b.ID) })
		want.ID, want.Created = 1, c.now()
		if got := jobs[0]; fmt.Sprintf("%+v", got.Job) != fmt.Sprintf("%+v", want) || !got.Due.Equal(want.After) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		if got := jobs[1]; len(got.Payload) != 0 || !got.Due.IsZero() || got.Priority != queue.Urgent {
			t.Errorf("a bare job came back as %+v", got)
		}
		refs, err := q.Tail(t.Context(), 0, 10)
		if err != nil || len(refs) != 2 || refs[0] != queue.NewRef(1, "key ü", "did:a", queue.Backfill) {
			t.Errorf("the tail is %+v (%v)", refs, err)
		}
		if refs, err := q.Tail(t.Context(), 1, 10); err != nil || len(refs) != 1 || refs[0].ID != 2 {
			t.Errorf("the tail after 1 is %+v (%v)", refs, err)
		}
	})
}

func TestEnqueueWakesAfterTheCommit(t *testing.T) {
	eachQueue(t, func(t *testing.T, db *DB, q Queue, _ *clock) {
		woken := make(chan string, 9)
		q.OnEnqueue(func() { woken <- "" })
		_ = db.Update(t.Context(), func(tx *Tx) error {
			if err := tx.Enqueue(queue.Job{Kind: "undone"}); err != nil {
				t.Error(err)
			}
			return errors.New("no")
		})
		if len(woken) != 0 {
			t.Error("woken by what was rolled back")
		}
		enqueue(t, db, queue.Job{Kind: "a"}, queue.Job{Kind: "b"})
		if len(woken) != 1 || kinds(t, q) != "a b" {
			t.Errorf("woken %d times, pending %q", len(woken), kinds(t, q))
		}
		if err := db.Update(t.Context(), func(tx *Tx) error { return tx.Enqueue(queue.Job{}) }); err == nil {
			t.Error("a job without a kind was taken")
		}
	})
}

func TestDedupWindow(t *testing.T) {
	eachQueue(t, func(t *testing.T, db *DB, q Queue, c *clock) {
		enqueue(t, db, queue.Job{Kind: "a", Dedup: "x"}, queue.Job{Kind: "b", Dedup: "x"}, queue.Job{Kind: "c", Dedup: "y"})
		if got := kinds(t, q); got != "a c" {
			t.Fatalf("pending %q", got)
		}
		if ok, err := q.Finish(t.Context(), 1, queue.Done, ""); !ok || err != nil {
			t.Fatal(ok, err)
		}
		c.advance(29 * 24 * time.Hour)
		enqueue(t, db, queue.Job{Kind: "again", Dedup: "x"})
		if got := kinds(t, q); got != "c" {
			t.Errorf("within the window, pending %q", got)
		}
		c.advance(2 * 24 * time.Hour)
		enqueue(t, db, queue.Job{Kind: "again", Dedup: "x"}, queue.Job{Kind: "and again", Dedup: "x"})
		if got := kinds(t, q); got != "c again" {
			t.Errorf("after the window, pending %q", got)
		}
		if n, err := q.Prune(t.Context(), time.Hour); n != 1 || err != nil {
			t.Errorf("pruned %d (%v), want the value y", n, err)
		}
	})
}

func TestFinishIsOnce(t *testing.T) {
	eachQueue(t, func(t *testing.T, db *DB, q Queue, _ *clock) {
		enqueue(t, db, queue.Job{Kind: "a"})
		for _, want := range []bool{true, false} {
			if ok, err := q.Finish(t.Context(), 1, queue.Done, ""); ok != want || err != nil {
				t.Errorf("finished: %v (%v), want %v", ok, err, want)
			}
		}
		// an effect whose job is gone must be undone
		err := db.Update(t.Context(), func(tx *Tx) error {
			if err := put(tx, "effect", "1"); err != nil {
				return err
			}
			if ok, err := tx.FinishJob(1, queue.Done, ""); err != nil || ok {
				return errors.Join(err, errors.New("finished twice"))
			}
			return queue.ErrFinished
		})
		if !errors.Is(err, queue.ErrFinished) || look(t, db, "effect") != "" {
			t.Errorf("got %v, effect %q", err, look(t, db, "effect"))
		}
	})
}

func TestPostponeAndDepths(t *testing.T) {
	eachQueue(t, func(t *testing.T, db *DB, q Queue, c *clock) {
		enqueue(t, db, queue.Job{Kind: "a"}, queue.Job{Kind: "b", Priority: queue.Normal}, queue.Job{Kind: "c", Priority: queue.Normal, After: c.now().Add(time.Hour)})
		first := c.now()
		c.advance(time.Minute)
		if err := q.Postpone(t.Context(), 1, queue.Delay{Due: c.now().Add(time.Minute), Attempt: 2, Deferred: 3, Reason: "r", Detail: "\x00\xff" + strings.Repeat("ü", 2000)}); err != nil {
			t.Fatal(err)
		}
		jobs, err := q.Load(t.Context(), []int64{1})
		if err != nil || len(jobs) != 1 || jobs[0].Attempt != 2 || jobs[0].Deferred != 3 || !jobs[0].Due.Equal(c.now().Add(time.Minute)) {
			t.Fatalf("loaded %+v (%v)", jobs, err)
		}
		d, err := q.Depths(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if d[0].Pending != 1 || d[0].Ready != 0 || !d[0].Oldest.IsZero() {
			t.Errorf("urgent: %+v", d[0])
		}
		if d[1].Pending != 2 || d[1].Ready != 1 || !d[1].Oldest.Equal(first) {
			t.Errorf("normal: %+v", d[1])
		}
		c.advance(2 * time.Minute)
		if d, err = q.Depths(t.Context()); err != nil || d[0].Ready != 1 || c.now().Sub(d[0].Oldest) != time.Minute {
			t.Errorf("urgent, when due: %+v (%v)", d[0], err)
		}
	})
}

func TestDeadLetters(t *testing.T) {
	eachQueue(t, func(t *testing.T, db *DB, q Queue, c *clock) {
		ctx := t.Context()
		for i := range 5 {
			enqueue(t, db, queue.Job{Kind: fmt.Sprint("k", i+1), Key: "key", Subject: "did:a", Payload: []byte("p")})
		}
		for id := int64(1); id <= 4; id++ {
			if err := q.Bury(ctx, id, queue.Delay{Reason: "permanent", Detail: "because", Attempt: 5}); err != nil {
				t.Fatal(err)
			}
		}
		if err := q.Bury(ctx, 1, queue.Delay{}); err != nil {
			t.Errorf("burying what is dead: %v", err)
		}
		if n, oldest, err := q.CountDead(ctx); n != 4 || !oldest.Equal(c.now()) || err != nil {
			t.Errorf("%d dead since %v (%v)", n, oldest, err)
		}
		d, err := q.DeadLetter(ctx, 2)
		if err != nil || d.Kind != "k2" || d.Reason != "permanent" || d.Detail != "because" || d.Attempt != 5 || string(d.Payload) != "p" || !d.Died.Equal(c.now()) {
			t.Errorf("the letter is %+v (%v)", d, err)
		}
		if page, err := q.DeadLetters(ctx, 2, 1); err != nil || len(page) != 1 || page[0].ID != 3 {
			t.Errorf("the page after 2 is %+v (%v)", page, err)
		}
		fresh, err := q.Retry(ctx, 2)
		if err != nil || fresh <= 5 {
			t.Errorf("retried as %d (%v): it must be new to every cursor", fresh, err)
		}
		if err := q.Discard(ctx, 3); err != nil {
			t.Error(err)
		}
		for _, err := range []error{q.Discard(ctx, 3), second(q.Retry(ctx, 2)), second(q.DeadLetter(ctx, 99))} {
			if !errors.Is(err, ErrNoDeadLetter) {
				t.Errorf("got %v, want ErrNoDeadLetter", err)
			}
		}
		if n, err := q.RetryAll(ctx); n != 2 || err != nil {
			t.Errorf("%d retried (%v), want 2", n, err)
		}
		if got := kinds(t, q); got != "k5 k2 k1 k4" {
			t.Errorf("pending %q", got)
		}
		jobs, err := q.Load(ctx, []int64{fresh})
		if err != nil || len(jobs) != 1 || jobs[0].Attempt != 0 || jobs[0].Key != "key" {
			t.Errorf("the retried job is %+v (%v)", jobs, err)
		}
	})
}

func second[T any](_ T, err error) error { return err }

func TestWithdrawalDropsPendingJobs(t *testing.T) {
	eachQueue(t, func(t *testing.T, db *DB, q Queue, _ *clock) {
		a := func(kind string, p queue.Priority, epoch int64) queue.Job {
			return queue.Job{Kind: kind, Subject: "did:a", Priority: p, Epoch: epoch}
		}
		enqueue(t, db, a("old", 1, 1), a("erase", 0, 1), a("erase", 1, 1), a("urgent", 0, 1), a("new", 1, 2),
			queue.Job{Kind: "other", Subject: "did:b", Epoch: 1}, queue.Job{Kind: "nobody", Epoch: 1}, a("dead", 1, 1), a("dead2", 1, 2))
		for _, id := range []int64{8, 9} {
			if err := q.Bury(t.Context(), id, queue.Delay{Reason: "r"}); err != nil {
				t.Fatal(err)
			}
		}
		must(t, db, func(tx *Tx) error {
			if n, err := tx.DropSubjectJobs("did:a", 2, "erase", "tombstone"); n != 3 || err != nil {
				t.Errorf("%d dropped (%v), want 3", n, err)
			}
			return nil
		})
		if got := kinds(t, q); got != "erase new other nobody" {
			t.Errorf("pending %q", got)
		}
		if letters, err := q.DeadLetters(t.Context(), 0, 9); err != nil || len(letters) != 1 || letters[0].Kind != "dead2" {
			t.Errorf("dead letters: %+v (%v)", letters, err)
		}
		if err := db.Update(t.Context(), func(tx *Tx) error { return second(tx.DropSubjectJobs("", 9)) }); err == nil {
			t.Error("the jobs of nobody in particular were dropped")
		}
	})
}

func TestGenerationStays(t *testing.T) {
	eachPlace(t, func(t *testing.T, e engine) {
		db := e.open(t)
		first, err := db.Queue().Generation(context.Background())
		if err != nil || len(first) < 8 {
			t.Fatal(first, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if again, err := e.open(t).Queue().Generation(context.Background()); again != first || err != nil {
			t.Errorf("the outbox is called %q (%v), and was %q", again, err, first)
		}
	})
}
