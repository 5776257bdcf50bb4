package chaos

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"footbridge/bridge/bridgetest/oracle"
)

// f12 lets people leave at a random moment while what they wrote is under way.
func f12(ctx context.Context, p Plan, rep *Report) error {
	s := p.setup()
	leavers := p.n(1000, 4)
	s.Size.Authors = leavers/2 + 2
	s.Size.Events = min(max(s.Size.Events, 15*s.Size.Authors), 10_000)
	return within(ctx, s, func(r *Rig) error {
		acts := withLeaving(withoutAnswersTo(oracle.Generate(p.Seed, s.Size), leavers/2), leavers/2, p.rand())
		d, w := newDriver(r), &watcher{r: r}
		d.after = w.left
		// One leaves after the other, twice a second: the row is about one person with much in flight.
		err := d.drive(ctx, acts, spread(acts, time.Duration(leavers)*500*time.Millisecond))
		w.looks.Wait()
		if err != nil {
			return err
		}
		rep.did("%d withdrawals", leavers)
		rep.did("in effect on the ATmosphere after %.2f s at the most", w.slowest.Seconds())
		rep.did("nothing more is seen after %.2f s at the most", r.lastAfterLeaving().Seconds())
		rep.Failed = append(rep.Failed, w.visible...)
		return r.judge(ctx, rep)
	})
}

// withLeaving puts into the acts of the first n authors of each side, at a random place, a burst of posts and the
// withdrawal; what they did afterwards in the workload they still do, and it must not cross any more.
func withLeaving(acts []oracle.Act, n int, rng *rand.Rand) (out []oracle.Act) {
	lines := map[string][]oracle.Act{}
	for _, a := range acts {
		lines[a.Author] = append(lines[a.Author], a)
	}
	burst := 0
	for i := range n {
		for _, side := range []oracle.Side{oracle.Fediverse, oracle.ATmosphere} {
			name := oracle.Author(side, i)
			at := rng.IntN(len(lines[name]) + 1)
			var leaving []oracle.Act
			for range 10 + rng.IntN(30) {
				burst++
				item := fmt.Sprintf("item8%05d", burst)
				leaving = append(leaving, oracle.Act{Verb: oracle.Post, Author: name, Side: side, Item: item, Rev: 1, Text: item + " rev1 in flight", Burst: true})
			}
			leaving = append(leaving, oracle.Act{Verb: oracle.Withdraw, Author: name, Side: side, Item: "leave " + name})
			lines[name] = slices.Insert(lines[name], at, leaving...)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(lines)) {
		for _, a := range lines[name] {
			a.Seq = len(out) + 1
			out = append(out, a)
		}
	}
	return out
}

// lastAfterLeaving is the longest time after a withdrawal at which something of the person was still made.
func (r *Rig) lastAfterLeaving() (most time.Duration) {
	c := r.Case()
	gone := map[string]time.Time{}
	for _, a := range c.Acts {
		if a.Verb == oracle.Withdraw {
			gone[a.Author] = a.At
		}
	}
	for _, s := range c.Seen {
		if at, ok := gone[s.Author]; ok && marker.Match(s.Raw) && !strings.Contains(string(s.Raw), `elete`) {
			most = max(most, s.At.Sub(at))
		}
	}
	return most
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
	out := map[string]bool{}
	for _, a := range acts { // what answers goes, with all that concerns it and all that answers it
		if a.Of != "" && (theirs[a.Of] || out[a.Of]) {
			out[a.Item] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(acts), func(a oracle.Act) bool { return out[a.Item] })
}

// watcher looks at what is shown of people who left.
type watcher struct {
	r       *Rig
	looks   sync.WaitGroup
	mu      sync.Mutex
	visible []string
	// slowest is how long a withdrawal on the ATmosphere took, at the most, to be read and to take effect.
	slowest time.Duration
}

// left looks at the AppView two seconds after somebody left. What reaches fediverse servers late, the oracle sees.
func (w *watcher) left(ctx context.Context, a oracle.Act) {
	if a.Verb != oracle.Withdraw {
		return
	}
	w.looks.Go(func() {
		if a.Side == oracle.ATmosphere {
			w.effect(ctx, a.Author)
			return
		}
		select {
		case <-time.After(2 * time.Second):
			w.check(ctx, a.Author)
		case <-ctx.Done():
		}
	})
}

// effect waits until the actor of somebody who left is no longer shown by the bridge.
func (w *watcher) effect(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	start := time.Now()
	_ = until(ctx, func(ctx context.Context) error {
		var actor struct{ Name string }
		if w.r.get(ctx, w.r.people[name].copy, &actor) == nil && actor.Name != "" {
			return errStillShown
		}
		return nil
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.slowest = max(w.slowest, time.Since(start))
}

var errStillShown = errors.New("the actor is still shown")

func (w *watcher) check(ctx context.Context, name string) {
	did := w.r.people[name].copy
	_, err := w.r.view.Profile(ctx, did)
	posts, _ := w.r.feed(ctx, did) // an error is what is hoped for
	if err == nil || len(posts) > 0 {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.visible = append(w.visible, fmt.Sprintf("2 s after %s left, the AppView shows the profile (%v) and %d posts", name, err == nil, len(posts)))
	}
}
