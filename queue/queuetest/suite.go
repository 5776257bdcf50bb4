package queuetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"footbridge/queue"
)

// Run runs all checks, and those that need several goroutines, over schedulers that fresh makes and opens.
func Run(t *testing.T, fresh func(t *testing.T) queue.Scheduler) {
	for _, c := range Checks() {
		t.Run(c.Name, func(t *testing.T) {
			if err := c.Run(t.Context(), fresh(t)); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("whoever waits is woken", func(t *testing.T) {
		if err := Wakes(t.Context(), fresh(t)); err != nil {
			t.Error(err)
		}
	})
	t.Run("many workers", func(t *testing.T) { workers(t, fresh(t)) })
}

// Wakes demands that a waiting Claim returns when work comes, and long before its time is over.
func Wakes(ctx context.Context, s queue.Scheduler) error {
	f := feeder{s: s}
	for round := range 3 {
		got := make(chan error, 1)
		began := time.Now()
		go func() {
			tokens, err := s.Claim(ctx, 1, queue.Backfill, 5*time.Second)
			if err == nil && len(tokens) != 1 {
				err = fmt.Errorf("round %d: a waiting claim got %d tokens after %v", round, len(tokens), time.Since(began))
			}
			got <- err
		}()
		if err := f.add(ctx, queue.Priority(round), "", fmt.Sprint("k", round)); err != nil {
			return err
		}
		if err := <-got; err != nil {
			return err
		}
		if took := time.Since(began); took > 3*time.Second {
			return fmt.Errorf("round %d: a waiting claim returned after %v", round, took)
		}
	}
	return nil
}

// workers lets goroutines finish 3,000 jobs at once and demands order and completeness.
func workers(t *testing.T, s queue.Scheduler) {
	const total, lanes = 3000, 40
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	var mu sync.Mutex
	last, count := map[uint64]int64{}, 0
	var group sync.WaitGroup
	for range 6 {
		group.Go(func() {
			for {
				mu.Lock()
				over := count == total
				mu.Unlock()
				if over || ctx.Err() != nil {
					return
				}
				tokens, err := s.Claim(ctx, 4, queue.Backfill, 20*time.Millisecond)
				if err != nil {
					t.Errorf("claiming: %v", err)
					return
				}
				list := make([]queue.Settlement, len(tokens))
				mu.Lock()
				for i, tok := range tokens {
					if tok.ID <= last[tok.Lane] {
						t.Errorf("lane %d: job %d came after %d", tok.Lane, tok.ID, last[tok.Lane])
					}
					last[tok.Lane] = tok.ID
					count++
					list[i] = queue.Settlement{Token: tok}
				}
				mu.Unlock()
				if stale, err := s.Settle(ctx, list); stale != 0 || err != nil {
					t.Errorf("settling: %d stale, %v", stale, err)
				}
			}
		})
	}
	f := feeder{s: s}
	for n := 0; n < total; n += 50 {
		var keys []string
		for i := range 50 {
			keys = append(keys, fmt.Sprint("k", (n+i*7)%lanes))
		}
		if err := f.add(ctx, queue.Priority(n/50%3), fmt.Sprint("s", n%3), keys...); err != nil {
			t.Fatal(err)
		}
	}
	group.Wait()
	if count != total {
		t.Errorf("%d of %d jobs ran", count, total)
	}
}

// Differ feeds the same random operations to a model and to a scheduler, and demands the same answers. The two must be
// new and open. It returns how many operations it did.
func Differ(ctx context.Context, seed uint64, steps int, a, b queue.Scheduler) (int, error) {
	d := differ{rnd: rand.New(rand.NewPCG(seed, 1)), a: a, b: b, due: map[int64]bool{}}
	for step := range steps {
		if err := d.step(ctx, step); err != nil {
			return step, fmt.Errorf("seed %d, step %d: %w", seed, step, err)
		}
	}
	return steps, nil
}

type differ struct {
	rnd          *rand.Rand
	a, b         queue.Scheduler
	before, last int64 // where the last batch began and ended
	shipped      []queue.Ref
	handA, handB []queue.Token
	due          map[int64]bool
}

func (d *differ) step(ctx context.Context, step int) error {
	switch d.rnd.IntN(7) {
	case 0, 1:
		return d.enqueue(ctx)
	case 2:
		return d.claim(ctx)
	case 3, 4:
		return d.settle(ctx)
	case 5:
		return d.stale(ctx)
	default:
		now := epoch.Add(time.Duration(step*400) * time.Millisecond)
		x, errA := d.a.Promote(ctx, now, 3)
		y, errB := d.b.Promote(ctx, now, 3)
		return same("promote", x, y, errA, errB)
	}
}

func (d *differ) enqueue(ctx context.Context) error {
	refs := make([]queue.Ref, 1+d.rnd.IntN(6))
	id := d.last
	for i := range refs {
		id += 1 + int64(d.rnd.IntN(2)) // ids have holes
		subject := ""
		if d.rnd.IntN(4) > 0 {
			subject = fmt.Sprint("s", d.rnd.IntN(3))
		}
		refs[i] = queue.NewRef(id, fmt.Sprint("k", d.rnd.IntN(12)), subject, queue.Priority(d.rnd.IntN(3)))
	}
	from, through := d.last, id
	switch d.rnd.IntN(10) {
	case 0: // a gap
		from++
	case 1: // a batch that came before, alone or with new work behind it
		if d.rnd.IntN(2) == 0 {
			through, refs = d.last, nil
		}
		from, refs = d.before, append(slices.Clone(d.shipped), refs...)
	}
	errA, errB := d.a.Enqueue(ctx, from, through, refs), d.b.Enqueue(ctx, from, through, refs)
	if errA == nil {
		d.before, d.last, d.shipped = from, through, refs
	}
	if (errA == nil) != (errB == nil) {
		return fmt.Errorf("enqueue: %v and %v", errA, errB)
	}
	x, errA := d.a.Cursor(ctx)
	y, errB := d.b.Cursor(ctx)
	return same("cursor", x, y, errA, errB)
}

// stale repeats the beginning of the last batch, as a second pump does.
func (d *differ) stale(ctx context.Context) error {
	if len(d.shipped) < 2 {
		return nil
	}
	refs := d.shipped[:1]
	errA, errB := d.a.Enqueue(ctx, d.before, refs[0].ID, refs), d.b.Enqueue(ctx, d.before, refs[0].ID, refs)
	x, _ := d.a.Cursor(ctx)
	y, _ := d.b.Cursor(ctx)
	return same("a stale batch", x, y, errA, errB)
}

func (d *differ) claim(ctx context.Context) error {
	n, lowest := 1+d.rnd.IntN(5), queue.Backfill
	if d.rnd.IntN(4) == 0 {
		lowest = queue.Priority(d.rnd.IntN(2))
	}
	x, errA := d.a.Claim(ctx, n, lowest, 0)
	y, errB := d.b.Claim(ctx, n, lowest, 0)
	if err := same("claim", ids(x), ids(y), errA, errB); err != nil {
		return err
	}
	d.handA, d.handB = append(d.handA, x...), append(d.handB, y...)
	p, errA := d.a.Len(ctx)
	q, errB := d.b.Len(ctx)
	return same("length", p, q, errA, errB)
}

func ids(tokens []queue.Token) string {
	s := ""
	for _, t := range tokens {
		s += fmt.Sprintf("%+v ", t.Ref)
	}
	return s
}

func (d *differ) settle(ctx context.Context) error {
	if len(d.handA) == 0 {
		return nil
	}
	i := d.rnd.IntN(len(d.handA))
	var due time.Time
	if d.rnd.IntN(4) == 0 {
		ms := int64(d.rnd.IntN(100_000))
		for d.due[ms] { // equal times may be woken in any order
			ms++
		}
		d.due[ms] = true
		due = epoch.Add(time.Duration(ms) * time.Millisecond)
	}
	x, errA := d.a.Settle(ctx, []queue.Settlement{{Token: d.handA[i], Due: due}})
	y, errB := d.b.Settle(ctx, []queue.Settlement{{Token: d.handB[i], Due: due}})
	if d.rnd.IntN(8) > 0 { // sometimes it is settled twice
		d.handA = append(d.handA[:i:i], d.handA[i+1:]...)
		d.handB = append(d.handB[:i:i], d.handB[i+1:]...)
	}
	return same("settle", x, y, errA, errB)
}

func same[T comparable](what string, x, y T, errA, errB error) error {
	if errA != nil || errB != nil || x != y {
		return fmt.Errorf("%s: %v (%v) and %v (%v)", what, x, errA, y, errB)
	}
	return nil
}
