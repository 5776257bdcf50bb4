package translate

import (
	"encoding/json"
)

// atJob is one conversion of an event in an AT repo: the event, the context with its maps turned around as needed, and
// the losses so far.
type atJob struct {
	ev     Event
	c      *Context
	lines  *noticeLines
	losses []Loss
	self   string // the author's actor id, once it is known
	gates  gates
	// byDID and byURI are made at the first use that the shortcuts cannot answer, so that a conversion stays linear in
	// the size of its context.
	byDID, byURI map[string]string
}

func newATJob(ev Event, c *Context) *atJob {
	return &atJob{ev: ev, c: c, lines: noticesIn(c.Options.Language)}
}

// lose notes a loss, each kind and detail once, and no more than a person would read.
func (j *atJob) lose(kind LossKind, detail string) {
	l := Loss{Kind: kind, Detail: shortDetail(detail)}
	if len(j.losses) >= 50 {
		return
	}
	for _, have := range j.losses {
		if have == l {
			return
		}
	}
	j.losses = append(j.losses, l)
}

// actor finds the actor id of a person by DID; only people who joined have one.
func (j *atJob) actor(did string) (id string, a Actor, ok bool) {
	id = ActorID(j.c.Domain, did, 1)
	if a, ok = j.c.Actors[id]; ok {
		return id, a, true
	}
	if len(j.c.Actors) <= fewActors {
		return j.scanActors(did)
	}
	if j.byDID == nil {
		j.byDID = make(map[string]string, len(j.c.Actors))
		for id, a := range j.c.Actors {
			if have, dup := j.byDID[a.DID]; !dup || id < have {
				j.byDID[a.DID] = id
			}
		}
	}
	if id, ok = j.byDID[did]; !ok || did == "" {
		return "", Actor{}, false
	}
	return id, j.c.Actors[id], true
}

// fewActors is how many actors are looked through rather than turned into a map.
const fewActors = 16

func (j *atJob) scanActors(did string) (id string, a Actor, ok bool) {
	for have, actor := range j.c.Actors {
		if actor.DID == did && (!ok || have < id) {
			id, a, ok = have, actor, true
		}
	}
	if did == "" {
		return "", Actor{}, false
	}
	return id, a, ok
}

// object finds the AP id of a record that was bridged. Of several ids for one record the smallest is taken: that of a
// post sorts before those of its activities, and the choice does not depend on map order.
func (j *atJob) object(uri string) (id string, ok bool) {
	id = ObjectID(j.c.Domain, uri, 1)
	if ref, found := j.c.Objects[id]; found && ref.URI == uri && id != "" {
		return id, true
	}
	if j.byURI == nil {
		j.byURI = make(map[string]string, len(j.c.Objects))
		for id, ref := range j.c.Objects {
			if have, dup := j.byURI[ref.URI]; !dup || id < have {
				j.byURI[ref.URI] = id
			}
		}
	}
	id, ok = j.byURI[uri]
	return id, ok && uri != ""
}

// target is a post or other record of somebody that an event is about.
type target struct {
	uri    string
	id     string // its AP id
	author string // its author's actor id
	native string // the network its author is on
	doc    apParent
}

// apParent is what is read of an AS2 object that an event is about.
type apParent struct {
	AttributedTo any `json:"attributedTo"`
	Audience     any `json:"audience"`
	Context      any `json:"context"`
	Conversation any `json:"conversation"`
	Tag          any `json:"tag"`
	apGates
}

// find resolves a record that the event is about. It is found only if it was bridged and its author has a live grant
// (invariant 2: nobody else's words); otherwise the reason says which of the two is missing.
func (j *atJob) find(uri string) (target, DropReason) {
	did, _, _, ok := SplitURI(uri)
	if !ok {
		return target{}, DropMalformed
	}
	t := target{uri: uri}
	var bridged bool
	t.id, bridged = j.object(uri)
	if bridged {
		_ = json.Unmarshal(j.c.APObjects[t.id], &t.doc) // absent or odd: nothing is read of it
	}
	id, a, joined := j.actor(did)
	if !joined && bridged {
		id, a, joined = j.attributed(t.doc)
	}
	switch {
	case !joined:
		return t, DropTargetNotJoined
	case !bridged:
		t.author, t.native = id, a.Native
		return t, DropTargetNotShared
	}
	t.author, t.native = id, a.Native
	return t, None
}

// attributed finds a joined author in an AS2 object.
func (j *atJob) attributed(doc apParent) (string, Actor, bool) {
	id := firstID(doc.AttributedTo)
	a, ok := j.c.Actors[id]
	return id, a, ok
}

// firstID reads an id from a string, an object with id, or a list of these.
func firstID(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case map[string]any:
		return lex(v).str("id")
	case []any:
		for _, e := range v {
			if id := firstID(e); id != "" {
				return id
			}
		}
	}
	return ""
}

// me is the actor id of the event's author.
func (j *atJob) me() string {
	if j.self != "" {
		return j.self
	}
	j.self = ActorID(j.c.Domain, j.ev.DID, j.c.Incarnation)
	if j.c.Incarnation <= 1 {
		if id, a, ok := j.actor(j.ev.DID); ok && a.Native == "at" {
			j.self = id
		}
	}
	return j.self
}

// own is the AP id of the event's record: the one it was bridged under, else the one it gets.
func (j *atJob) own(uri string) string {
	if id, ok := j.object(uri); ok {
		return id
	}
	return ObjectID(j.c.Domain, uri, j.incarnation())
}

// incarnation of the author, told by the context or read from the actor's id.
func (j *atJob) incarnation() int64 {
	if j.c.Incarnation > 0 {
		return j.c.Incarnation
	}
	if own, ok := ParseOwnID(j.c.Domain, j.me()); ok {
		return own.Incarnation
	}
	return 1
}
