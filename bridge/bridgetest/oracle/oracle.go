// Package oracle decides, from what was sent on one network and what the fakes of the other network saw, whether a bridge
// lost, doubled, resurrected, leaked or misordered anything. It is code of its own: it imports no package of this module,
// reads the documents of both networks itself, and knows nothing of how a bridge works.
package oracle

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Side is one of the two networks.
type Side string

// The sides.
const (
	Fediverse  Side = "fediverse"
	ATmosphere Side = "atmosphere"
)

// Verb is what an author does.
type Verb string

// The verbs. Edit and Delete act on Item; Like, Boost and Unlike name the item they are about in Of.
const (
	Post     Verb = "post"
	Edit     Verb = "edit"
	Delete   Verb = "delete"
	Like     Verb = "like"
	Boost    Verb = "boost"
	Undo     Verb = "undo"
	Withdraw Verb = "withdraw"
)

// Act is one thing that an author does. A workload is a list of them; acts of one author happen in that order.
type Act struct {
	Seq    int
	Verb   Verb
	Author string
	Side   Side
	// Item is the marker of what is made, changed or undone; it stands in every text.
	Item string
	// Of is the item that is answered, liked or boosted.
	Of string
	// Text is the whole plain text of a post or of its new version; Rev counts the versions from 1.
	Text string
	Rev  int
	// Private posts and posts of a Stranger must not cross.
	Private, Stranger bool
	// Burst: the next act of the author follows without a pause.
	Burst bool
	// Early deletes are sent before what they delete.
	Early bool

	// ID is the native id of a post, filled in when it was sent; At is when its server said that it has it.
	ID string
	At time.Time
}

// Seen is one thing that a fake recorded, in the order of each place.
type Seen struct {
	At time.Time
	// Place is the host of a fediverse server, or Relay.
	Place string
	// Author is whose copy it came from, by the name in the workload; empty if unknown.
	Author string
	// Raw is an activity, or an op of a commit: {"action","uri","record"}, or {"action":"account","did","status"}.
	Raw json.RawMessage
}

// Relay is the place where the ATmosphere sees things.
const Relay = "relay"

// Shown is a post that a reader of the ATmosphere is shown at the end.
type Shown struct{ URI, Author, Text string }

// Case is all that the oracle looks at.
type Case struct {
	Acts []Act
	Seen []Seen
	// Shown is the AppView at the end; Checked tells that it was asked.
	Shown   []Shown
	Checked bool
	// Servers get everything that authors of the ATmosphere publish.
	Servers []string
	// Grace is how long after a withdrawal something may still appear (2 s), Removal how long until all is gone (60 s).
	Grace, Removal time.Duration
}

// Verdict lists what went wrong, one sentence each.
type Verdict struct {
	Lost, Duplicate, Resurrected, Leaked, Misordered []string
}

// Good reports whether nothing went wrong.
func (v Verdict) Good() bool {
	return len(v.Lost)+len(v.Duplicate)+len(v.Resurrected)+len(v.Leaked)+len(v.Misordered) == 0
}

func (v Verdict) String() string {
	return fmt.Sprintf("lost %d, duplicate %d, resurrected %d, leaked %d, misordered %d", len(v.Lost), len(v.Duplicate), len(v.Resurrected), len(v.Leaked), len(v.Misordered))
}

// Details are the sentences, at most n of each kind.
func (v Verdict) Details(n int) (out []string) {
	for _, k := range []struct {
		name string
		list []string
	}{{"lost", v.Lost}, {"duplicate", v.Duplicate}, {"resurrected", v.Resurrected}, {"leaked", v.Leaked}, {"misordered", v.Misordered}} {
		for i, s := range k.list {
			if i == n {
				out = append(out, fmt.Sprintf("%s: and %d more", k.name, len(k.list)-n))
				break
			}
			out = append(out, k.name+": "+s)
		}
	}
	return out
}

// Missing counts the kinds that waiting may still mend.
func (v Verdict) Missing() int { return len(v.Lost) + len(v.Resurrected) }

// item is what the workload says of one marker.
type item struct {
	name, author, of, id string
	side                 Side
	verb                 Verb
	texts                []string
	first, seq           int
	removed, secret      bool
	at                   time.Time
}

// items reads the workload.
func items(acts []Act) (map[string]*item, map[string]Act) {
	all, gone := map[string]*item{}, map[string]Act{}
	for _, a := range acts {
		if a.Verb == Withdraw {
			gone[a.Author] = a
			continue
		}
		it := all[a.Item]
		if it == nil {
			it = &item{name: a.Item, author: a.Author, side: a.Side, seq: a.Seq}
			all[a.Item] = it
		}
		it.take(a)
	}
	return all, gone
}

func (it *item) take(a Act) {
	switch a.Verb {
	case Post, Like, Boost:
		it.verb, it.of, it.seq, it.at = a.Verb, a.Of, a.Seq, a.At
		it.secret = a.Private || a.Stranger
		if a.ID != "" {
			it.id = a.ID
		}
		it.texts = slices.Insert(it.texts, 0, a.Text)
	case Edit:
		it.texts = append(it.texts, a.Text)
	case Delete, Undo:
		it.removed = true
	}
}
