package oracle

import (
	"fmt"
	"math/rand/v2"
)

// Size says how large a workload is.
type Size struct {
	// Authors and Strangers are on each side.
	Authors, Strangers int
	Events             int
}

// Scaled is a part of the workload W10k: 200 authors who joined, 100 who did not, 10,000 events.
func Scaled(dose float64) Size {
	at := func(n, least int) int { return max(int(float64(n)*dose), least) }
	return Size{Authors: at(100, 3), Strangers: at(50, 1), Events: at(10_000, 60)}
}

// Author names the n-th author of a side, Stranger somebody who did not join.
func Author(s Side, n int) string {
	return fmt.Sprintf("%s%d", map[Side]string{Fediverse: "fay", ATmosphere: "bo"}[s], n)
}
func Stranger(s Side, n int) string {
	return fmt.Sprintf("%s%d", map[Side]string{Fediverse: "xan", ATmosphere: "yul"}[s], n)
}

// generator draws acts in the proportions of W10k.
type generator struct {
	r    *rand.Rand
	size Size
	acts []Act
	n    int
	// standing are posts that stay, by side; brief are those that may be edited or deleted; liked can be undone.
	standing map[Side][]Act
	brief    []Act
	liked    []Act
}

// Generate draws a workload. The same seed and size give the same one.
func Generate(seed uint64, size Size) []Act {
	g := &generator{r: rand.New(rand.NewPCG(seed, 0xF00D)), size: size, standing: map[Side][]Act{}}
	for len(g.acts) < size.Events {
		g.draw()
	}
	return g.acts
}

func (g *generator) draw() {
	switch p := g.r.IntN(100); {
	case p < 42:
		g.post("")
	case p < 54:
		g.post("reply")
	case p < 64:
		g.react(Like)
	case p < 69:
		g.react(Boost)
	case p < 76:
		g.edit()
	case p < 84:
		g.remove()
	case p < 88:
		g.earlyDelete()
	case p < 91:
		g.undo()
	case p < 96:
		g.secret()
	default:
		g.stranger()
	}
}

func (g *generator) side() Side {
	if g.r.IntN(2) == 0 {
		return Fediverse
	}
	return ATmosphere
}

func other(s Side) Side {
	if s == Fediverse {
		return ATmosphere
	}
	return Fediverse
}

func (g *generator) add(a Act) Act {
	a.Seq = len(g.acts) + 1
	g.acts = append(g.acts, a)
	return a
}

func (g *generator) item() string {
	g.n++
	return fmt.Sprintf("item%06d", g.n)
}

var words = []string{"soup", "van", "meeting", "park", "tuesday", "keys", "rain", "bread", "bicycle", "library", "garden", "lamp"}

// text carries the marker, the version and a few words.
func (g *generator) text(item string, rev int) string {
	return fmt.Sprintf("%s rev%d %s and %s & <%s>", item, rev, words[g.r.IntN(len(words))], words[g.r.IntN(len(words))], words[g.r.IntN(len(words))])
}

// fresh is a new public post of somebody who joined.
func (g *generator) fresh(s Side) Act {
	name := g.item()
	return Act{Verb: Post, Author: Author(s, g.r.IntN(g.size.Authors)), Side: s, Item: name, Rev: 1, Text: g.text(name, 1)}
}

func (g *generator) post(kind string) {
	s := g.side()
	a := g.fresh(s)
	if kind == "reply" {
		if targets := g.standing[other(s)]; len(targets) > 0 {
			a.Of = targets[g.r.IntN(len(targets))].Item
		}
	}
	a = g.add(a)
	if g.r.IntN(3) > 0 {
		g.standing[s] = append(g.standing[s], a)
	} else {
		g.brief = append(g.brief, a)
	}
}

func (g *generator) react(v Verb) {
	s := g.side()
	targets := g.standing[other(s)]
	if len(targets) == 0 {
		g.post("")
		return
	}
	a := Act{Verb: v, Author: Author(s, g.r.IntN(g.size.Authors)), Side: s, Of: targets[g.r.IntN(len(targets))].Item}
	a.Item = fmt.Sprintf("%s of %s by %s", v, a.Of, a.Author)
	for _, before := range g.acts {
		if before.Item == a.Item {
			return // one like of a thing by somebody
		}
	}
	g.liked = append(g.liked, g.add(a))
}

func (g *generator) edit() {
	for range 5 {
		if len(g.brief) == 0 {
			break
		}
		i := g.r.IntN(len(g.brief))
		if a := g.brief[i]; a.Side == Fediverse { // posts of the ATmosphere are not edited
			a.Verb, a.Rev, a.Of = Edit, a.Rev+1, ""
			a.Text = g.text(a.Item, a.Rev)
			g.brief[i] = a
			g.add(a)
			return
		}
	}
	g.post("")
}

func (g *generator) remove() {
	if len(g.brief) == 0 {
		g.post("")
		return
	}
	i := g.r.IntN(len(g.brief))
	a := g.brief[i]
	g.brief = append(g.brief[:i], g.brief[i+1:]...)
	g.add(Act{Verb: Delete, Author: a.Author, Side: a.Side, Item: a.Item})
}

// earlyDelete arrives before what it deletes.
func (g *generator) earlyDelete() {
	a := g.fresh(Fediverse)
	g.add(Act{Verb: Delete, Author: a.Author, Side: a.Side, Item: a.Item, Early: true})
	g.add(a)
}

func (g *generator) undo() {
	if len(g.liked) == 0 {
		g.post("")
		return
	}
	i := g.r.IntN(len(g.liked))
	a := g.liked[i]
	g.liked = append(g.liked[:i], g.liked[i+1:]...)
	g.add(Act{Verb: Undo, Author: a.Author, Side: a.Side, Item: a.Item, Of: a.Of})
}

func (g *generator) secret() {
	a := g.fresh(Fediverse)
	a.Private = true
	g.add(a)
}

// stranger answers, mentions or likes something of somebody who joined.
func (g *generator) stranger() {
	s := g.side()
	a := g.fresh(s)
	a.Author, a.Stranger = Stranger(s, g.r.IntN(g.size.Strangers)), true
	if targets := g.standing[other(s)]; len(targets) > 0 {
		a.Of = targets[g.r.IntN(len(targets))].Item
	}
	g.add(a)
}
