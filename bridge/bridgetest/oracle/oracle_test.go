package oracle_test

import (
	"encoding/json"
	"fmt"
	"html"
	"slices"
	"strings"
	"testing"
	"time"

	"footbridge/bridge/bridgetest/oracle"
)

var (
	servers = []string{"one.test", "two.test"}
	start   = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
)

// perfect is a bridge without faults, as the fakes would see it.
type perfect struct {
	acts []oracle.Act
	seen []oracle.Seen
	ids  map[string]string // item to the id of its copy
	byID map[string]oracle.Act
	now  time.Time
}

func world(seed uint64) oracle.Case {
	acts := oracle.Generate(seed, oracle.Size{Authors: 4, Strangers: 2, Events: 400})
	// Two people leave; nothing is written in their name afterwards.
	for _, name := range []string{oracle.Author(oracle.Fediverse, 3), oracle.Author(oracle.ATmosphere, 3)} {
		side := oracle.Fediverse
		if strings.HasPrefix(name, "bo") {
			side = oracle.ATmosphere
		}
		acts = append(acts, oracle.Act{Verb: oracle.Withdraw, Author: name, Side: side, Seq: len(acts) + 1})
	}
	p := &perfect{acts: acts, ids: map[string]string{}, byID: map[string]oracle.Act{}, now: start}
	for i := range p.acts {
		p.now = p.now.Add(time.Second)
		p.step(&p.acts[i])
	}
	return oracle.Case{Acts: p.acts, Seen: p.seen, Servers: servers}
}

func (p *perfect) native(item, author string, side oracle.Side) string {
	if side == oracle.Fediverse {
		return "https://one.test/users/" + author + "/statuses/" + item
	}
	return "at://did:plc:" + author + "/app.bsky.feed.post/" + item
}

func (p *perfect) step(a *oracle.Act) {
	a.At = p.now
	if a.Verb == oracle.Post {
		a.ID = p.native(a.Item, a.Author, a.Side)
		p.byID[a.Item] = *a
	}
	if a.Private || a.Stranger || a.Early {
		return
	}
	if a.Verb == oracle.Post && p.deletedBefore(a) {
		return
	}
	if a.Side == oracle.Fediverse {
		p.commit(a)
	} else {
		p.deliver(a)
	}
}

func (p *perfect) deletedBefore(a *oracle.Act) bool {
	return slices.ContainsFunc(p.acts[:a.Seq-1], func(b oracle.Act) bool { return b.Item == a.Item && b.Early })
}

func (p *perfect) record(a *oracle.Act, place string, doc map[string]any) {
	raw, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	p.seen = append(p.seen, oracle.Seen{At: p.now, Place: place, Author: a.Author, Raw: raw})
}

func (p *perfect) commit(a *oracle.Act) {
	id := "at://did:plc:copy-" + a.Author + "/app.bsky.feed.post/" + a.Item
	doc := map[string]any{"action": "create", "uri": id, "record": map[string]any{"text": a.Text, "createdAt": p.now.Format(time.RFC3339)}}
	switch a.Verb {
	case oracle.Edit:
		doc["action"] = "update"
	case oracle.Like, oracle.Boost:
		id = "at://did:plc:copy-" + a.Author + "/app.bsky.feed." + map[oracle.Verb]string{oracle.Like: "like", oracle.Boost: "repost"}[a.Verb] + "/" + a.Of
		p.ids[a.Item] = id
		doc["uri"], doc["record"] = id, map[string]any{"subject": map[string]any{"uri": p.byID[a.Of].ID}}
	case oracle.Undo:
		doc = map[string]any{"action": "delete", "uri": p.ids[a.Item]}
	case oracle.Delete:
		doc = map[string]any{"action": "delete", "uri": id}
	case oracle.Withdraw:
		doc = map[string]any{"action": "account", "did": "did:plc:copy-" + a.Author, "status": "deleted"}
	}
	p.record(a, oracle.Relay, doc)
}

func (p *perfect) deliver(a *oracle.Act) {
	actor := "https://bridge.test/ap/" + a.Author
	id := actor + "/" + a.Item
	note := map[string]any{"id": id, "type": "Note", "content": "<p>" + html.EscapeString(a.Text) + "</p>", "published": p.now.Format(time.RFC3339)}
	doc := map[string]any{"type": "Create", "actor": actor, "object": note}
	switch a.Verb {
	case oracle.Like, oracle.Boost:
		doc = map[string]any{"id": id, "type": map[oracle.Verb]string{oracle.Like: "Like", oracle.Boost: "Announce"}[a.Verb], "actor": actor, "object": p.byID[a.Of].ID}
	case oracle.Undo:
		doc = map[string]any{"id": id + "#undo", "type": "Undo", "actor": actor, "object": map[string]any{"id": id, "type": "Like"}}
	case oracle.Delete:
		doc = map[string]any{"type": "Delete", "actor": actor, "object": map[string]any{"id": id, "type": "Tombstone"}}
	case oracle.Withdraw:
		doc = map[string]any{"type": "Delete", "actor": actor, "object": actor}
	}
	for _, s := range servers {
		p.record(a, s, doc)
	}
}

func TestOracleAcceptsAPerfectBridge(t *testing.T) {
	for seed := range uint64(20) {
		c := world(seed)
		if v := oracle.Judge(c); !v.Good() {
			t.Fatalf("seed %d: %v\n%s", seed, v, strings.Join(v.Details(5), "\n"))
		}
	}
}

func TestOracleAcceptsRedelivery(t *testing.T) {
	c := world(1)
	var twice []oracle.Seen
	for _, s := range c.Seen {
		twice = append(twice, s)
		if s.Place != oracle.Relay {
			twice = append(twice, s) // the same activity again: receivers know it by its id
		}
	}
	c.Seen = twice
	if v := oracle.Judge(c); !v.Good() {
		t.Errorf("%v\n%s", v, strings.Join(v.Details(5), "\n"))
	}
}

// history is an observed history with a bug put in.
type history struct {
	oracle.Case
	t *testing.T
}

// find is the place of the n-th thing seen that holds all pieces.
func (h *history) find(place string, n int, pieces ...string) int {
	for i, s := range h.Seen {
		ok := s.Place == place
		for _, p := range pieces {
			ok = ok && strings.Contains(string(s.Raw), p)
		}
		if ok {
			if n == 0 {
				return i
			}
			n--
		}
	}
	h.t.Fatalf("no %v at %s in the history", pieces, place)
	return 0
}

func (h *history) drop(i int)                  { h.Seen = slices.Delete(slices.Clone(h.Seen), i, i+1) }
func (h *history) insert(i int, s oracle.Seen) { h.Seen = slices.Insert(slices.Clone(h.Seen), i, s) }
func (h *history) end(s oracle.Seen) {
	s.At = start.Add(time.Hour)
	h.Seen = append(slices.Clone(h.Seen), s)
}
func (h *history) replace(i int, old, by string) {
	s := h.Seen[i]
	if !strings.Contains(string(s.Raw), old) {
		h.t.Fatalf("%q is not in %s", old, s.Raw)
	}
	s.Raw = json.RawMessage(strings.ReplaceAll(string(s.Raw), old, by))
	h.Seen = slices.Clone(h.Seen)
	h.Seen[i] = s
}

// act finds an act, and where its copy was seen.
func (h *history) act(match func(oracle.Act) bool) oracle.Act {
	i := slices.IndexFunc(h.Acts, match)
	if i < 0 {
		h.t.Fatal("no such act in the workload")
	}
	return h.Acts[i]
}

func (h *history) removed(a oracle.Act) bool {
	return slices.ContainsFunc(h.Acts, func(b oracle.Act) bool {
		return b.Item == a.Item && (b.Verb == oracle.Delete || b.Verb == oracle.Undo || b.Verb == oracle.Edit) ||
			b.Verb == oracle.Withdraw && b.Author == a.Author
	})
}

// standing finds a post of a side that stays as it is.
func (h *history) standing(side oracle.Side, n int) oracle.Act {
	return h.act(func(a oracle.Act) bool {
		if a.Side != side || a.Verb != oracle.Post || a.Private || a.Stranger || h.removed(a) {
			return false
		}
		n--
		return n < 0
	})
}

func (h *history) of(verb oracle.Verb, side oracle.Side) oracle.Act {
	return h.act(func(a oracle.Act) bool {
		return a.Verb == verb && a.Side == side && !a.Early && !a.Stranger && !strings.HasSuffix(a.Author, "3")
	})
}

func (h *history) kept(verb oracle.Verb, side oracle.Side) oracle.Act {
	return h.act(func(a oracle.Act) bool { return a.Verb == verb && a.Side == side && !h.removed(a) })
}

func (h *history) make(place, author, text, id string) oracle.Seen {
	if place == oracle.Relay {
		return oracle.Seen{Place: place, Author: author, Raw: json.RawMessage(fmt.Sprintf(`{"action":"create","uri":"at://did:plc:copy-%s/app.bsky.feed.post/%s","record":{"text":%q}}`, author, id, text))}
	}
	return oracle.Seen{Place: place, Author: author, Raw: json.RawMessage(fmt.Sprintf(
		`{"type":"Create","actor":"https://bridge.test/ap/%s","object":{"id":"https://bridge.test/ap/%s/%s","content":%q}}`, author, author, id, html.EscapeString(text)))}
}

const (
	lost = 1 << iota
	duplicate
	resurrected
	leaked
	misordered
)

func found(v oracle.Verdict) (kinds int) {
	for i, list := range [][]string{v.Lost, v.Duplicate, v.Resurrected, v.Leaked, v.Misordered} {
		if len(list) > 0 {
			kinds |= 1 << i
		}
	}
	return kinds
}

var bugs = []struct {
	name string
	want int
	put  func(h *history)
}{
	{"a post of the fediverse is dropped", lost, func(h *history) { h.drop(h.find(oracle.Relay, 0, h.standing(oracle.Fediverse, 3).Item)) }},
	{"a post of the ATmosphere reaches one server only", lost, func(h *history) { h.drop(h.find("two.test", 0, h.standing(oracle.ATmosphere, 3).Item)) }},
	{"a like of the fediverse is dropped", lost, func(h *history) {
		a := h.kept(oracle.Like, oracle.Fediverse)
		h.drop(h.find(oracle.Relay, 0, "copy-"+a.Author+"/app.bsky.feed.like/"+a.Of))
	}},
	{"a like of the ATmosphere is dropped", lost, func(h *history) {
		a := h.kept(oracle.Like, oracle.ATmosphere)
		h.drop(h.find("one.test", 0, `"Like"`, a.Author+"/"+a.Item))
	}},
	{"a boost is dropped", lost, func(h *history) {
		a := h.kept(oracle.Boost, oracle.Fediverse)
		h.drop(h.find(oracle.Relay, 0, "copy-"+a.Author+"/app.bsky.feed.repost/"+a.Of))
	}},
	{"an edit is dropped", lost, func(h *history) {
		a := h.lastEdit()
		h.drop(h.find(oracle.Relay, 0, "update", fmt.Sprintf("%s rev%d", a.Item, a.Rev)))
	}},
	{"a text is cut", lost, func(h *history) {
		a := h.standing(oracle.Fediverse, 2)
		h.replace(h.find(oracle.Relay, 0, a.Item), "rev1 ", "rev1 … ")
	}},
	{"a text arrives escaped twice", lost, func(h *history) {
		a := h.standing(oracle.ATmosphere, 2)
		h.replace(h.find("one.test", 0, a.Item), "amp;", "amp;amp;")
	}},
	{"the delete of somebody else removes a post", lost, func(h *history) {
		a := h.standing(oracle.Fediverse, 1)
		h.end(oracle.Seen{Place: oracle.Relay, Author: a.Author, Raw: json.RawMessage(`{"action":"delete","uri":"at://did:plc:copy-` + a.Author + `/app.bsky.feed.post/` + a.Item + `"}`)})
	}},
	{"a post is created under two keys", duplicate, func(h *history) {
		a := h.standing(oracle.Fediverse, 4)
		h.insert(h.find(oracle.Relay, 0, a.Item)+1, h.make(oracle.Relay, a.Author, a.Text, a.Item+"-again"))
	}},
	{"a note is delivered under two ids", duplicate, func(h *history) {
		a := h.standing(oracle.ATmosphere, 4)
		h.insert(h.find("one.test", 0, a.Item)+1, h.make("one.test", a.Author, a.Text, a.Item+"-again"))
	}},
	{"a like is written twice", duplicate, func(h *history) {
		a := h.kept(oracle.Like, oracle.Fediverse)
		i := h.find(oracle.Relay, 0, "copy-"+a.Author+"/app.bsky.feed.like/"+a.Of)
		s := h.Seen[i]
		s.Raw = json.RawMessage(strings.Replace(string(s.Raw), "like/"+a.Of, "like/again", 1))
		h.insert(i, s)
	}},
	{"a record is created twice at one path", duplicate, func(h *history) {
		a := h.standing(oracle.Fediverse, 5)
		i := h.find(oracle.Relay, 0, a.Item)
		h.insert(i, h.Seen[i])
	}},
	{"one id is delivered as two posts", duplicate, func(h *history) {
		a, b := h.standing(oracle.ATmosphere, 1), h.standing(oracle.ATmosphere, 2)
		h.replace(h.find("one.test", 0, b.Item), "ap/"+b.Author+"/"+b.Item, "ap/"+a.Author+"/"+a.Item)
	}},
	{"a post is made again after it was deleted", resurrected, func(h *history) {
		a := h.of(oracle.Delete, oracle.Fediverse)
		first := h.Seen[h.find(oracle.Relay, 0, "create", a.Item)]
		h.end(first)
	}},
	{"a note is delivered again after its delete", resurrected, func(h *history) {
		a := h.of(oracle.Delete, oracle.ATmosphere)
		h.end(h.Seen[h.find("two.test", 0, "Create", a.Item)])
	}},
	{"a delete is dropped at the relay", resurrected, func(h *history) {
		a := h.of(oracle.Delete, oracle.Fediverse)
		h.drop(h.find(oracle.Relay, 0, "delete", a.Item))
	}},
	{"a delete does not reach one server", resurrected, func(h *history) {
		a := h.of(oracle.Delete, oracle.ATmosphere)
		h.drop(h.find("two.test", 0, "Delete", a.Item))
	}},
	{"an undo is dropped", resurrected, func(h *history) {
		a := h.of(oracle.Undo, oracle.Fediverse)
		h.drop(h.find(oracle.Relay, 0, "delete", "copy-"+a.Author, "/"+a.Of))
	}},
	{"a late create passes an early delete", resurrected, func(h *history) {
		early := h.act(func(a oracle.Act) bool { return a.Early && !strings.HasSuffix(a.Author, "3") })
		a := h.act(func(a oracle.Act) bool { return a.Verb == oracle.Post && a.Item == early.Item })
		h.end(h.make(oracle.Relay, a.Author, a.Text, a.Item))
	}},
	{"an edit brings a deleted note back", resurrected, func(h *history) {
		a := h.of(oracle.Delete, oracle.ATmosphere)
		s := h.Seen[h.find("one.test", 0, "Create", a.Item)]
		s.Raw = json.RawMessage(strings.Replace(string(s.Raw), "Create", "Update", 1))
		h.end(s)
	}},
	{"a followers-only post crosses", leaked, func(h *history) {
		a := h.act(func(a oracle.Act) bool { return a.Private })
		h.end(h.make(oracle.Relay, a.Author, a.Text, a.Item))
	}},
	{"a private text stands in a card", leaked, func(h *history) {
		a := h.act(func(a oracle.Act) bool { return a.Private })
		b := h.standing(oracle.Fediverse, 0)
		h.replace(h.find(oracle.Relay, 0, b.Item), `"record":{`, `"record":{"embed":{"description":"`+a.Item+`"},`)
	}},
	{"a stranger's reply crosses to the relay", leaked, func(h *history) {
		a := h.act(func(a oracle.Act) bool { return a.Stranger && a.Side == oracle.Fediverse })
		h.end(h.make(oracle.Relay, a.Author, a.Text, a.Item))
	}},
	{"a stranger's reply crosses to a server", leaked, func(h *history) {
		a := h.act(func(a oracle.Act) bool { return a.Stranger && a.Side == oracle.ATmosphere })
		h.end(h.make("two.test", a.Author, a.Text, a.Item))
	}},
	{"a post appears after its author left", leaked, func(h *history) {
		a := h.act(func(a oracle.Act) bool { return a.Verb == oracle.Post && a.Author == "fay3" && !a.Private })
		i := h.find(oracle.Relay, 0, `"account"`, "fay3")
		s := h.make(oracle.Relay, a.Author, a.Text, a.Item)
		s.At = h.Seen[i].At.Add(10 * time.Second)
		h.insert(i+1, s)
	}},
	{"the copies of who left stay on one server", leaked, func(h *history) { h.drop(h.find("one.test", 0, "Delete", `"object":"https://bridge.test/ap/bo3"`)) }},
	{"the copies of who left go too late", leaked, func(h *history) {
		i := h.find(oracle.Relay, 0, `"account"`, "fay3")
		s := h.Seen[i]
		h.drop(i)
		h.end(s)
	}},
	{"two posts of an author change places in the repo", misordered, func(h *history) {
		a := h.standing(oracle.Fediverse, 2)
		b := h.act(func(b oracle.Act) bool {
			return b.Seq > a.Seq && b.Author == a.Author && b.Verb == oracle.Post && !b.Private && !h.removed(b)
		})
		i, k := h.find(oracle.Relay, 0, a.Item), h.find(oracle.Relay, 0, b.Item)
		h.Seen = slices.Clone(h.Seen)
		h.Seen[i], h.Seen[k] = h.Seen[k], h.Seen[i]
	}},
	{"an old version overtakes a new one", misordered | lost, func(h *history) {
		a := h.lastEdit()
		s := h.Seen[h.find(oracle.Relay, 0, "create", a.Item)]
		s.Raw = json.RawMessage(strings.Replace(string(s.Raw), `"create"`, `"update"`, 1))
		h.end(s)
	}},
	{"notes carry dates in the wrong order", misordered, func(h *history) {
		a := h.standing(oracle.ATmosphere, 5)
		i := h.find("one.test", 0, a.Item)
		h.replace(i, `"published":"2026`, `"published":"2027`)
	}},
	{"the reader is shown a deleted post", resurrected, func(h *history) {
		a := h.of(oracle.Delete, oracle.Fediverse)
		h.Shown = append(h.shownNow(), oracle.Shown{Author: a.Author, Text: a.Item + " rev1"})
		h.Checked = true
	}},
	{"the reader is not shown a post", lost, func(h *history) { h.Shown, h.Checked = h.shownNow()[1:], true }},
}

// lastEdit is the newest version of a post that stays.
func (h *history) lastEdit() (last oracle.Act) {
	for _, a := range h.Acts {
		kept := !slices.ContainsFunc(h.Acts, func(b oracle.Act) bool { return b.Item == a.Item && b.Verb == oracle.Delete })
		if a.Verb == oracle.Edit && kept && !strings.HasSuffix(a.Author, "3") {
			last = a
		}
	}
	return last
}

// shownNow is what a right AppView shows.
func (h *history) shownNow() (out []oracle.Shown) {
	for _, a := range h.Acts {
		gone := slices.ContainsFunc(h.Acts, func(b oracle.Act) bool {
			return b.Item == a.Item && (b.Verb == oracle.Delete || b.Rev > a.Rev) || b.Verb == oracle.Withdraw && b.Author == a.Author
		})
		if (a.Verb == oracle.Post || a.Verb == oracle.Edit) && a.Side == oracle.Fediverse && !a.Private && !a.Stranger && !gone {
			out = append(out, oracle.Shown{Author: a.Author, Text: a.Text})
		}
	}
	return out
}

func TestOracleCatchesSeededBugs(t *testing.T) {
	caught := 0
	for _, bug := range bugs {
		t.Run(bug.name, func(t *testing.T) {
			for seed := range uint64(3) {
				h := &history{Case: world(seed), t: t}
				bug.put(h)
				v := oracle.Judge(h.Case)
				if found(v)&bug.want != bug.want {
					t.Errorf("seed %d: not caught: %v\n%s", seed, v, strings.Join(v.Details(3), "\n"))
					return
				}
			}
			caught++
		})
	}
	if caught < 30 {
		t.Errorf("%d of %d seeded bugs were caught, want 30 or more", caught, len(bugs))
	}
}

func TestOracleAcceptsARightAppView(t *testing.T) {
	h := &history{Case: world(2), t: t}
	h.Shown, h.Checked = h.shownNow(), true
	if v := oracle.Judge(h.Case); !v.Good() {
		t.Errorf("%v\n%s", v, strings.Join(v.Details(3), "\n"))
	}
}
