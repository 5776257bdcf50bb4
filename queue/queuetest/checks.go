package queuetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"footbridge/queue"
)

// Check is one demand on a Scheduler that is new and open.
type Check struct {
	Name string
	Run  func(ctx context.Context, s queue.Scheduler) error
}

// Checks lists all demands.
func Checks() []Check {
	return []Check{
		{"order within a lane", checkOrder},
		{"one token for each lane", checkOneToken},
		{"cursor, gaps and repetition", checkCursor},
		{"putting off", checkPutOff},
		{"a lane that waits holds no other", checkHoldsOnlyItself},
		{"stale tokens", checkStale},
		{"priorities", checkPriority},
		{"no class starves", checkStarvation},
		{"claims of some classes only", checkClasses},
		{"subjects take turns", checkFairness},
		{"no more than asked for", checkLimit},
		{"length", checkLen},
		{"random work keeps its order and loses nothing", checkRandom},
	}
}

// feed enqueues references with ids from first, one for each lane named.
type feeder struct {
	s    queue.Scheduler
	last int64
}

func (f *feeder) add(ctx context.Context, p queue.Priority, subject string, keys ...string) error {
	refs := make([]queue.Ref, len(keys))
	for i, k := range keys {
		refs[i] = queue.NewRef(f.last+int64(i)+1, k, subject, p)
	}
	through := f.last + int64(len(keys))
	if err := f.s.Enqueue(ctx, f.last, through, refs); err != nil {
		return fmt.Errorf("enqueueing: %w", err)
	}
	f.last = through
	return nil
}

// want claims up to n and compares ids.
func want(ctx context.Context, s queue.Scheduler, n int, ids ...int64) ([]queue.Token, error) {
	tokens, err := s.Claim(ctx, n, queue.Backfill, 0)
	if err != nil {
		return nil, fmt.Errorf("claiming: %w", err)
	}
	got := make([]int64, len(tokens))
	for i, t := range tokens {
		got[i] = t.ID
	}
	if fmt.Sprint(got) != fmt.Sprint(ids) {
		return tokens, fmt.Errorf("claimed %v, want %v", got, ids)
	}
	return tokens, nil
}

// done settles tokens and wants n of them to be stale.
func done(ctx context.Context, s queue.Scheduler, n int, due time.Time, tokens ...queue.Token) error {
	list := make([]queue.Settlement, len(tokens))
	for i, t := range tokens {
		list[i] = queue.Settlement{Token: t, Due: due}
	}
	stale, err := s.Settle(ctx, list)
	if err != nil {
		return fmt.Errorf("settling: %w", err)
	}
	if stale != n {
		return fmt.Errorf("%d of %d tokens were stale, want %d", stale, len(tokens), n)
	}
	return nil
}

func checkOrder(ctx context.Context, s queue.Scheduler) error {
	f := feeder{s: s}
	for i := range 6 { // the last are the most urgent, and yet last
		if err := f.add(ctx, queue.Priority(2-i/2), "", "a"); err != nil {
			return err
		}
	}
	for id := int64(1); id <= 6; id++ {
		t, err := want(ctx, s, 4, id)
		if err != nil {
			return err
		}
		if err := done(ctx, s, 0, time.Time{}, t...); err != nil {
			return err
		}
	}
	_, err := want(ctx, s, 4)
	return err
}

func checkOneToken(ctx context.Context, s queue.Scheduler) error {
	f := feeder{s: s}
	if err := f.add(ctx, queue.Normal, "", "a", "a", "b", "a", "c", "d", "b"); err != nil {
		return err
	}
	t, err := want(ctx, s, 20, 1, 3, 5, 6)
	if err != nil {
		return err
	}
	for i, key := range []string{"a", "b", "c", "d"} {
		if r := queue.NewRef(t[i].ID, key, "", queue.Normal); t[i].Ref != r {
			return fmt.Errorf("the token carries %+v, want %+v", t[i].Ref, r)
		}
	}
	if _, err := want(ctx, s, 20); err != nil {
		return fmt.Errorf("while all lanes are out: %w", err)
	}
	if err := done(ctx, s, 0, time.Time{}, t[0], t[1]); err != nil {
		return err
	}
	_, err = want(ctx, s, 20, 2, 7)
	return err
}

func checkCursor(ctx context.Context, s queue.Scheduler) error {
	at := func(want int64) error {
		got, err := s.Cursor(ctx)
		if err != nil || got != want {
			return fmt.Errorf("the cursor is %d (%w), want %d", got, err, want)
		}
		return nil
	}
	ref := func(id int64) queue.Ref { return queue.NewRef(id, "k", "", queue.Normal) }
	if err := at(0); err != nil {
		return err
	}
	if err := s.Enqueue(ctx, 5, 9, []queue.Ref{ref(9)}); !errors.Is(err, queue.ErrGap) {
		return fmt.Errorf("a batch after a gap gave %w, want ErrGap", err)
	}
	for _, b := range []struct {
		from, through int64
		refs          []queue.Ref
	}{{0, 3, []queue.Ref{ref(1), ref(3)}}, {0, 3, []queue.Ref{ref(1), ref(3)}}, {0, 5, []queue.Ref{ref(1), ref(3), ref(5)}}, {1, 3, []queue.Ref{ref(3)}}} {
		if err := s.Enqueue(ctx, b.from, b.through, b.refs); err != nil {
			return fmt.Errorf("enqueueing: %w", err)
		}
	}
	if err := at(5); err != nil {
		return err
	}
	for _, id := range []int64{1, 3, 5} {
		t, err := want(ctx, s, 9, id)
		if err != nil {
			return err
		}
		if err := done(ctx, s, 0, time.Time{}, t...); err != nil {
			return err
		}
	}
	_, err := want(ctx, s, 9)
	return err
}

var epoch = time.UnixMilli(1_700_000_000_000)

func checkPutOff(ctx context.Context, s queue.Scheduler) error {
	f := feeder{s: s}
	if err := f.add(ctx, queue.Normal, "", "a", "a"); err != nil {
		return err
	}
	t, err := want(ctx, s, 9, 1)
	if err != nil {
		return err
	}
	if err := done(ctx, s, 0, epoch.Add(time.Minute), t...); err != nil {
		return err
	}
	if n, err := s.Promote(ctx, epoch.Add(59*time.Second), 9); n != 0 || err != nil {
		return fmt.Errorf("%d lanes woke too early (%w)", n, err)
	}
	if _, err := want(ctx, s, 9); err != nil {
		return fmt.Errorf("while the lane waits: %w", err)
	}
	if n, err := s.Promote(ctx, epoch.Add(time.Minute), 9); n != 1 || err != nil {
		return fmt.Errorf("%d lanes woke (%w), want 1", n, err)
	}
	t, err = want(ctx, s, 9, 1)
	if err != nil {
		return fmt.Errorf("after the wait: %w", err)
	}
	if err := done(ctx, s, 0, time.Time{}, t...); err != nil {
		return err
	}
	_, err = want(ctx, s, 9, 2)
	return err
}

func checkHoldsOnlyItself(ctx context.Context, s queue.Scheduler) error {
	f := feeder{s: s}
	if err := f.add(ctx, queue.Normal, "", "a", "b"); err != nil {
		return err
	}
	t, err := want(ctx, s, 1, 1)
	if err != nil {
		return err
	}
	if err := done(ctx, s, 0, epoch, t...); err != nil {
		return err
	}
	_, err = want(ctx, s, 9, 2)
	return err
}

func checkStale(ctx context.Context, s queue.Scheduler) error {
	f := feeder{s: s}
	if err := f.add(ctx, queue.Normal, "", "a", "a", "a"); err != nil {
		return err
	}
	first, err := want(ctx, s, 1, 1)
	if err != nil {
		return err
	}
	if err := done(ctx, s, 0, epoch, first...); err != nil {
		return err
	}
	if err := done(ctx, s, 1, time.Time{}, first...); err != nil {
		return fmt.Errorf("settling twice: %w", err)
	}
	if _, err := s.Promote(ctx, epoch, 9); err != nil {
		return err
	}
	again, err := want(ctx, s, 1, 1)
	if err != nil {
		return err
	}
	if err := done(ctx, s, 1, time.Time{}, first...); err != nil {
		return fmt.Errorf("settling with the token before: %w", err)
	}
	if err := done(ctx, s, 0, time.Time{}, again...); err != nil {
		return err
	}
	_, err = want(ctx, s, 9, 2)
	return err
}

func checkPriority(ctx context.Context, s queue.Scheduler) error {
	f := feeder{s: s}
	for _, p := range []queue.Priority{queue.Backfill, queue.Normal, queue.Urgent} {
		if err := f.add(ctx, p, "", fmt.Sprint("x", p), fmt.Sprint("y", p)); err != nil {
			return err
		}
	}
	_, err := want(ctx, s, 3, 5, 6, 3)
	return err
}

func checkStarvation(ctx context.Context, s queue.Scheduler) error {
	f := feeder{s: s}
	var urgent []string
	for i := range 200 {
		urgent = append(urgent, fmt.Sprint("u", i))
	}
	if err := f.add(ctx, queue.Urgent, "", urgent...); err != nil {
		return err
	}
	if err := f.add(ctx, queue.Backfill, "", "back"); err != nil {
		return err
	}
	if err := f.add(ctx, queue.Normal, "", "norm"); err != nil {
		return err
	}
	seen := map[queue.Priority]int{}
	for i := range 32 {
		t, err := s.Claim(ctx, 1, queue.Backfill, 0)
		if err != nil || len(t) != 1 {
			return fmt.Errorf("claim %d gave %d tokens (%w)", i, len(t), err)
		}
		seen[t[0].Priority]++
	}
	if seen[queue.Normal] != 1 || seen[queue.Backfill] != 1 {
		return fmt.Errorf("32 claims under a flood of urgent work gave %d normal and %d backfill, want 1 and 1", seen[queue.Normal], seen[queue.Backfill])
	}
	return nil
}

func checkClasses(ctx context.Context, s queue.Scheduler) error {
	f := feeder{s: s}
	for p := queue.Backfill; p >= queue.Urgent; p-- {
		if err := f.add(ctx, p, "", fmt.Sprint("x", p), fmt.Sprint("y", p)); err != nil {
			return err
		}
	}
	claim := func(n int, lowest queue.Priority, want string) error {
		tokens, err := s.Claim(ctx, n, lowest, 0)
		var got []int64
		for _, t := range tokens {
			got = append(got, t.ID)
		}
		if err != nil || fmt.Sprint(got) != want {
			return fmt.Errorf("a claim of classes up to %d gave %v (%w), want %s", lowest, got, err, want)
		}
		return nil
	}
	return errors.Join(claim(1, queue.Urgent, "[5]"), claim(9, queue.Urgent, "[6]"), claim(9, queue.Urgent, "[]"),
		claim(9, queue.Normal, "[3 4]"), claim(9, queue.Normal, "[]"), claim(9, queue.Backfill, "[1 2]"))
}

func checkFairness(ctx context.Context, s queue.Scheduler) error {
	f := feeder{s: s}
	var many []string
	for i := range 100 {
		many = append(many, fmt.Sprint("a", i))
	}
	if err := f.add(ctx, queue.Normal, "did:a", many...); err != nil {
		return err
	}
	if err := f.add(ctx, queue.Normal, "did:b", "b1", "b2"); err != nil {
		return err
	}
	if err := f.add(ctx, queue.Normal, "did:c", "c1"); err != nil {
		return err
	}
	if _, err := want(ctx, s, 7, 1, 101, 103, 2, 102, 3, 4); err != nil {
		return err
	}
	if err := f.add(ctx, queue.Normal, "did:b", "b3"); err != nil {
		return err
	}
	if _, err := want(ctx, s, 3, 5, 104, 6); err != nil {
		return err
	}
	left, err := s.Claim(ctx, 200, queue.Backfill, 0)
	if err != nil || len(left) != 94 {
		return fmt.Errorf("%d are left (%w), want 94", len(left), err)
	}
	return nil
}

func checkLimit(ctx context.Context, s queue.Scheduler) error {
	f := feeder{s: s}
	for i := range 40 {
		if err := f.add(ctx, queue.Priority(i%3), "", fmt.Sprint("k", i)); err != nil {
			return err
		}
	}
	for got, n := 0, 1; got < 40; n = n%7 + 1 {
		t, err := s.Claim(ctx, n, queue.Backfill, 0)
		if err != nil || len(t) != min(n, 40-got) {
			return fmt.Errorf("a claim of %d gave %d after %d of 40 (%w)", n, len(t), got, err)
		}
		got += len(t)
	}
	return nil
}

func checkLen(ctx context.Context, s queue.Scheduler) error {
	f := feeder{s: s}
	if err := f.add(ctx, queue.Normal, "", "a", "a", "b"); err != nil {
		return err
	}
	length := func(want int64) error {
		if n, err := s.Len(ctx); n != want || err != nil {
			return fmt.Errorf("length %d (%w), want %d", n, err, want)
		}
		return nil
	}
	if err := length(3); err != nil {
		return err
	}
	t, err := want(ctx, s, 9, 1, 3)
	if err != nil {
		return err
	}
	if err := length(3); err != nil {
		return fmt.Errorf("with tokens out: %w", err)
	}
	if err := errors.Join(done(ctx, s, 0, time.Time{}, t[0]), done(ctx, s, 0, epoch, t[1]), done(ctx, s, 1, time.Time{}, t[0])); err != nil {
		return err
	}
	return length(2)
}

// checkRandom works through a thousand jobs in random order with random delays and failures.
func checkRandom(ctx context.Context, s queue.Scheduler) error {
	rnd := rand.New(rand.NewPCG(7, 7))
	f, now := feeder{s: s}, epoch
	wantOrder, next := map[uint64][]int64{}, 0
	out := map[uint64]bool{}
	var hand []queue.Token
	finished := 0
	for step := 0; finished < 1000; step++ {
		if step > 60_000 {
			return fmt.Errorf("%d of 1000 jobs finished after %d steps", finished, step)
		}
		now = now.Add(time.Duration(rnd.IntN(200)) * time.Millisecond)
		switch rnd.IntN(4) {
		case 0:
			if next >= 1000 {
				continue
			}
			key := fmt.Sprint("k", rnd.IntN(25))
			if err := f.add(ctx, queue.Priority(rnd.IntN(3)), fmt.Sprint("s", rnd.IntN(4)), key); err != nil {
				return err
			}
			next++
			lane := queue.NewRef(f.last, key, "", 0).Lane
			wantOrder[lane] = append(wantOrder[lane], f.last)
		case 1:
			tokens, err := s.Claim(ctx, 1+rnd.IntN(5), queue.Backfill, 0)
			if err != nil {
				return fmt.Errorf("claiming: %w", err)
			}
			for _, t := range tokens {
				if out[t.Lane] || len(wantOrder[t.Lane]) == 0 || wantOrder[t.Lane][0] != t.ID {
					return fmt.Errorf("job %d came while lane %d waits for %v (out: %v)", t.ID, t.Lane, wantOrder[t.Lane], out[t.Lane])
				}
				out[t.Lane] = true
			}
			hand = append(hand, tokens...)
		case 2:
			if len(hand) == 0 {
				continue
			}
			i := rnd.IntN(len(hand))
			t := hand[i]
			hand = append(hand[:i], hand[i+1:]...)
			delete(out, t.Lane)
			due := time.Time{}
			if rnd.IntN(3) == 0 {
				due = now.Add(time.Duration(rnd.IntN(2000)) * time.Millisecond)
			} else {
				wantOrder[t.Lane] = wantOrder[t.Lane][1:]
				finished++
			}
			if err := done(ctx, s, 0, due, t); err != nil {
				return err
			}
		case 3:
			if _, err := s.Promote(ctx, now, 1+rnd.IntN(20)); err != nil {
				return fmt.Errorf("waking: %w", err)
			}
		}
	}
	return nil
}
