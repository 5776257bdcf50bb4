package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	"footbridge/bridge/bridgetest/oracle"
)

// f9 delivers every activity many times at once, through several inboxes, and repeats events of the relay.
func f9(ctx context.Context, p Plan, rep *Report) error {
	return within(ctx, p.setup(), func(r *Rig) error {
		times := p.n(20, 6)
		inboxes := r.inboxes(5)
		r.deliver = func(ctx context.Context, who *person, body []byte) error {
			group, inner := errgroup.WithContext(ctx)
			for i := range times {
				group.Go(func() error { return r.persistTo(inner, who, inboxes[i%len(inboxes)], body) })
			}
			return group.Wait()
		}
		repeat, stop := context.WithCancel(ctx)
		done := make(chan int, 1)
		go func() { done <- r.repeat(repeat, p.rand()) }()
		err := r.Drive(ctx, oracle.Generate(p.Seed, r.Size), 0)
		stop()
		repeated := <-done
		if err != nil {
			return err
		}
		rep.did("each activity %d times at once through %d inboxes", times, len(inboxes))
		rep.did("%d events of the relay repeated", repeated)
		return r.judge(ctx, rep)
	})
}

// inboxes are the shared one, the bot's and some copies'.
func (r *Rig) inboxes(n int) []string {
	out := []string{r.bot.inbox, r.bot.actor + "/inbox"}
	for _, p := range r.people {
		if p.side == oracle.ATmosphere && p.copy != "" && len(out) < n {
			out = append(out, p.copy+"/inbox")
		}
	}
	return out
}

// repeat sends what natives did once more from the relay, again and again.
func (r *Rig) repeat(ctx context.Context, rng *rand.Rand) (n int) {
	relay := r.World.AT.Relay
	for {
		for _, p := range r.people {
			if p.side != oracle.ATmosphere {
				continue
			}
			for _, frame := range relay.FramesOf(p.at.DID, 3) {
				relay.RawFrame(frame)
				n++
			}
		}
		if pause(ctx, rng, 400*time.Millisecond) != nil {
			return n
		}
	}
}

// The seven activities of which all orders are played: a note, the same delivery once more, two edits, its delete, and a
// like with its undo.
var seven = []oracle.Act{
	{Verb: oracle.Post, Rev: 1}, {Verb: oracle.Post, Rev: 1}, {Verb: oracle.Edit, Rev: 2}, {Verb: oracle.Edit, Rev: 3}, {Verb: oracle.Delete},
	{Verb: oracle.Like}, {Verb: oracle.Undo},
}

// four are the same without anything that takes back: the newest version must stand in the end.
var four = seven[:4]

// f10 plays orders of activities on one object: all of four, and as many of seven as the dose says.
func f10(ctx context.Context, p Plan, rep *Report) error {
	s := p.setup()
	s.Size = oracle.Size{Authors: p.n(40, 4), Strangers: 0, Events: 0}
	return within(ctx, s, func(r *Rig) error {
		orders := append(permutations(len(four)), sample(p.rand(), permutations(len(seven)), p.n(5040, 40))...)
		o := &orderer{driver: newDriver(r), r: r}
		if err := o.prepare(ctx, (len(orders)+s.Size.Authors-1)/s.Size.Authors); err != nil {
			return err
		}
		group, inner := errgroup.WithContext(ctx)
		for a := range s.Size.Authors {
			group.Go(func() error { return o.line(inner, a, s.Size.Authors, orders) })
		}
		if err := group.Wait(); err != nil {
			return err
		}
		rep.did("%d orders of 4 and %d of 7 activities", len(permutations(len(four))), len(orders)-len(permutations(len(four))))
		return r.judge(ctx, rep)
	})
}

// permutations of 0..n-1, in a fixed order.
func permutations(n int) [][]int {
	if n == 0 {
		return [][]int{nil}
	}
	var out [][]int
	for _, p := range permutations(n - 1) {
		for at := range n {
			q := append([]int(nil), p[:at]...)
			out = append(out, append(append(q, n-1), p[at:]...))
		}
	}
	return out
}

func sample(rng *rand.Rand, all [][]int, n int) [][]int {
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:min(n, len(all))]
}

// orderer plays orders.
type orderer struct {
	*driver
	r *Rig
	// liked are posts of the ATmosphere, one for each round.
	liked []string
}

// prepare writes the posts that are liked.
func (o *orderer) prepare(ctx context.Context, rounds int) error {
	who := oracle.Author(oracle.ATmosphere, 0)
	for i := range rounds {
		name := fmt.Sprintf("item9%05d", i)
		a := oracle.Act{Seq: i + 1, Verb: oracle.Post, Author: who, Side: oracle.ATmosphere, Item: name, Rev: 1, Text: name + " rev1 to be liked"}
		if err := o.do(ctx, a); err != nil {
			return err
		}
		o.liked = append(o.liked, name)
	}
	return nil
}

func (o *orderer) line(ctx context.Context, author, authors int, orders [][]int) error {
	p := o.r.people[oracle.Author(oracle.Fediverse, author)]
	for k := author; k < len(orders); k += authors {
		if err := o.play(ctx, p, k, o.liked[k/authors], orders[k]); err != nil {
			return fmt.Errorf("order %v: %w", orders[k], err)
		}
	}
	return nil
}

// play tells the oracle what is meant, in the order of its making, and sends it in the order given.
func (o *orderer) play(ctx context.Context, p *person, k int, liked string, order []int) error {
	set := seven[:len(order)]
	bodies := make([]map[string]any, len(set))
	for i, a := range set {
		a.Seq, a.Author, a.Side, a.Item = 1000+10*k+i, p.name, p.side, fmt.Sprintf("item0%05d", k)
		a.Text = fmt.Sprintf("%s rev%d in order %v", a.Item, a.Rev, order)
		if a.Verb == oracle.Like || a.Verb == oracle.Undo {
			a.Of, a.Item = liked, "like of "+liked+" by "+p.name
		}
		if a.Verb == oracle.Post {
			a.ID = statusID(p, a.Item)
		}
		if i == 1 { // the delivery once more, byte for byte
			bodies[1] = bodies[0]
			continue
		}
		var err error
		if bodies[i], err = o.activity(ctx, p, a); err != nil {
			return err
		}
		o.note(a)
	}
	for _, i := range order {
		if err := o.send(ctx, p, bodies[i]); err != nil {
			return err
		}
	}
	return nil
}

// f11 edits one post a hundred times in ten seconds.
func f11(ctx context.Context, p Plan, rep *Report) error {
	s := p.setup()
	s.Size = oracle.Size{Authors: 1}
	return within(ctx, s, func(r *Rig) error {
		edits := p.n(100, 50)
		who := oracle.Author(oracle.Fediverse, 0)
		var acts []oracle.Act
		for i := range edits + 1 {
			a := oracle.Act{Seq: i + 1, Verb: oracle.Edit, Author: who, Side: oracle.Fediverse, Item: "item000001", Rev: i + 1, Text: fmt.Sprintf("item000001 rev%d", i+1)}
			if i == 0 {
				a.Verb = oracle.Post
			}
			acts = append(acts, a)
		}
		if err := r.Drive(ctx, acts, 10*time.Second/time.Duration(edits)); err != nil {
			return err
		}
		if err := r.judge(ctx, rep); err != nil {
			return err
		}
		updates := 0
		for _, seen := range r.Case().Seen {
			if seen.Place == oracle.Relay && seen.Author == who && marker.Match(seen.Raw) {
				updates++
			}
		}
		rep.did("%d edits in 10 s became %d updates", edits, updates-1)
		if updates-1 > max(10, edits/10) {
			rep.fail("%d updates were sent for %d edits", updates-1, edits)
		}
		return nil
	})
}
