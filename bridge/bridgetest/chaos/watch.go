package chaos

import (
	"encoding/json"
	"regexp"

	"footbridge/atproto/atprototest"
	"footbridge/bridge/bridgetest/oracle"
)

// index is what the fakes saw, in order, and where the copies of items are.
type index struct {
	seen   []oracle.Seen
	copies map[string]string // DID or actor id of a copy to the author
	inbox  map[string]int    // how far each server was read
	relay  int64
	posts  map[string]atprototest.Ref // item to its copy on the ATmosphere
	notes  map[string]note            // item to its copy on the fediverse
}

// note is a copy on the fediverse.
type note struct{ id, actor string }

func newIndex() index {
	return index{copies: map[string]string{}, inbox: map[string]int{}, posts: map[string]atprototest.Ref{}, notes: map[string]note{}}
}

// look reads what is new at all places.
func (r *Rig) look() {
	r.mu.Lock()
	defer r.mu.Unlock()
	events, next := r.World.AT.Relay.History(r.index.relay)
	r.index.relay = next
	for _, e := range events {
		raw, err := json.Marshal(e)
		if err != nil {
			continue // strings and JSON only
		}
		author := r.index.copies[e.DID]
		r.index.seen = append(r.index.seen, oracle.Seen{At: e.At, Place: oracle.Relay, Author: author, Raw: raw})
		r.index.post(e)
	}
	for _, s := range r.fedis {
		all := s.Inbox()
		for _, got := range all[r.index.inbox[s.Host()]:] {
			r.index.seen = append(r.index.seen, oracle.Seen{At: got.At, Place: s.Host(), Author: r.index.copies[got.Actor], Raw: got.Raw})
			r.index.note(got.Raw)
		}
		r.index.inbox[s.Host()] = len(all)
	}
}

var marker = regexp.MustCompile(`item[0-9]{6}`)

func (ix *index) post(e atprototest.RelayEvent) {
	if _, ours := ix.copies[e.DID]; !ours || e.Record == nil {
		return
	}
	var record struct{ Text string }
	if json.Unmarshal(e.Record, &record) != nil {
		return
	}
	if item := marker.FindString(record.Text); item != "" {
		ix.posts[item] = atprototest.Ref{URI: e.URI, CID: e.CID}
	}
}

func (ix *index) note(raw []byte) {
	var activity struct {
		Type, Actor string
		Object      json.RawMessage
	}
	var object struct{ ID, Content string }
	if json.Unmarshal(raw, &activity) != nil || activity.Type != "Create" || json.Unmarshal(activity.Object, &object) != nil {
		return
	}
	if item := marker.FindString(object.Content); item != "" {
		ix.notes[item] = note{object.ID, activity.Actor}
	}
}
