package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"footbridge/bridge/bridgetest/oracle"
)

// f12 lets people leave at a random moment while what they wrote is under way.
func f12(ctx context.Context, p Plan, rep *Report) error {
	s := p.setup()
	leavers := p.n(1000, 4)
	s.Size.Authors = leavers/2 + 2
	s.Size.Events = min(max(s.Size.Events, 15*s.Size.Authors), 10_000)
	return within(ctx, s, func(r *Rig) error {
		acts := withoutAnswersTo(oracle.Generate(p.Seed, s.Size), leavers/2)
		pace := 20 * time.Millisecond
		span := pace * time.Duration(len(acts)/(2*s.Size.Authors)+1)
		d := newDriver(r)
		w := &watcher{r: r}
		group, inner := errgroup.WithContext(ctx)
		group.Go(func() error { return d.drive(inner, acts, pace) })
		rng := p.rand()
		for i := range leavers / 2 {
			for _, side := range []oracle.Side{oracle.Fediverse, oracle.ATmosphere} {
				at := time.Duration(rng.Int64N(int64(span + time.Second)))
				burst := rand.New(rand.NewPCG(p.Seed, rng.Uint64()))
				group.Go(func() error { return w.leave(inner, d, oracle.Author(side, i), side, at, burst) })
			}
		}
		if err := group.Wait(); err != nil {
			return err
		}
		rep.did("%d withdrawals", leavers)
		rep.Failed = append(rep.Failed, w.visible...)
		return r.judge(ctx, rep)
	})
}

// withoutAnswersTo leaves out what answers or likes things of the first n authors of each side: they will leave, and
// whether an answer came before or after that is chance.
func withoutAnswersTo(acts []oracle.Act, n int) []oracle.Act {
	by := map[string]bool{}
	for i := range n {
		by[oracle.Author(oracle.Fediverse, i)], by[oracle.Author(oracle.ATmosphere, i)] = true, true
	}
	theirs := map[string]bool{}
	for _, a := range acts {
		if by[a.Author] {
			theirs[a.Item] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(acts), func(a oracle.Act) bool { return a.Of != "" && theirs[a.Of] })
}

// watcher looks at what is shown of people who left.
type watcher struct {
	r       *Rig
	mu      sync.Mutex
	visible []string
}

// leave writes a burst of posts, leaves in the midst of it, and looks two seconds later.
func (w *watcher) leave(ctx context.Context, d *driver, name string, side oracle.Side, at time.Duration, rng *rand.Rand) error {
	select {
	case <-time.After(at):
	case <-ctx.Done():
		return ctx.Err()
	}
	n := len(name) // the burst's own markers: by author
	_, _ = fmt.Sscanf(strings.TrimLeft(name, "abcdefghijklmnopqrstuvwxyz"), "%d", &n)
	base := 700_000 + n*20
	if side == oracle.ATmosphere {
		base += 100_000
	}
	for i := range 3 + rng.IntN(8) {
		item := fmt.Sprintf("item%06d", base+i)
		a := oracle.Act{Seq: 1_000_000 + base + i, Verb: oracle.Post, Author: name, Side: side, Item: item, Rev: 1, Text: item + " rev1 in flight"}
		if err := d.do(ctx, a); err != nil {
			return err
		}
	}
	if err := d.do(ctx, oracle.Act{Seq: 2_000_000, Verb: oracle.Withdraw, Author: name, Side: side, Item: "leave " + name}); err != nil {
		return err
	}
	return w.check(ctx, name, side)
}

// check asks the AppView for somebody who left two seconds ago.
func (w *watcher) check(ctx context.Context, name string, side oracle.Side) error {
	select {
	case <-time.After(2 * time.Second):
	case <-ctx.Done():
		return ctx.Err()
	}
	if side == oracle.ATmosphere {
		return nil // the oracle sees what arrives late
	}
	did := w.r.people[name].copy
	_, err := w.r.view.Profile(ctx, did)
	posts, _ := w.r.feed(ctx, did) // an error is what is hoped for
	if err == nil || len(posts) > 0 {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.visible = append(w.visible, fmt.Sprintf("2 s after %s left, the AppView shows the profile (%v) and %d posts", name, err == nil, len(posts)))
	}
	return nil
}
