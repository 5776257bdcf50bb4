package translate

import (
	"footbridge/activitypub/as2"
)

// reply finds the parent and the root of an answer. Servers may name several parents; the first that was bridged
// counts. An answer whose parent is not shared is not bridged (R35): it is never put out as a post of its own.
func (j *apJob) reply(o *as2.Value) (reply map[string]any, ok bool) {
	parents := o.Refs("inReplyTo")
	if len(parents) == 0 {
		return nil, true
	}
	for _, id := range parents {
		j.want(refParents, id)
		parent, found := j.strongRef(id)
		if !found {
			continue
		}
		if len(parents) > 1 {
			j.lose(LossOtherParents, "")
		}
		root := j.rootOf(parent)
		if !j.mayReply(root) {
			j.drop(DropGated)
			return nil, false
		}
		return map[string]any{"root": refMap(root), "parent": refMap(parent)}, true
	}
	j.drop(DropParentNotShared)
	return nil, j.collecting()
}

// rootOf is the root that the parent itself names, else the parent.
func (j *apJob) rootOf(parent StrongRef) StrongRef {
	j.want(refRecords, parent.URI)
	rec, ok := j.c.Records[parent.URI]
	if !ok {
		return parent
	}
	v, err := as2.ParseJSON(rec.Value)
	if err != nil {
		return parent
	}
	root := v.Get("reply").Get("root")
	ref := StrongRef{root.Get("uri").Str(), root.Get("cid").Str()}
	if _, _, _, ok := SplitURI(ref.URI); !ok || ref.CID == "" {
		return parent
	}
	return ref
}

func refMap(r StrongRef) map[string]any {
	return map[string]any{"uri": r.URI, "cid": r.CID}
}

// mayReply asks the threadgate of the root, where it is known (app.bsky.feed.threadgate). A rule that cannot be
// checked here does not allow: the AppView would hide the answer, and its author would not know.
func (j *apJob) mayReply(root StrongRef) bool {
	did, _, rkey, ok := SplitURI(root.URI)
	if !ok || did == j.actor.DID || j.people().native[did] == "ap" {
		// Whom a fediverse author lets answer, their own server has decided already.
		return true
	}
	gate := j.record("at://" + did + "/" + nsidThreadgate + "/" + rkey)
	if gate == nil || !gate.Has("allow") {
		return true
	}
	rules := gate.Get("allow").List()
	for i := range rules {
		if rules[i].Get("$type").Str() == nsidThreadgate+"#mentionRule" && j.mentionedIn(root.URI) {
			return true
		}
	}
	return false
}

// mentionedIn tells whether the actor has a mention facet in a post.
func (j *apJob) mentionedIn(uri string) bool {
	facets := j.record(uri).Get("facets").List()
	for i := range facets {
		features := facets[i].Get("features").List()
		for k := range features {
			if features[k].Get("did").Str() == j.actor.DID {
				return true
			}
		}
	}
	return false
}

// record is the value of a record that was fetched, nil if there is none.
func (j *apJob) record(uri string) *as2.Value {
	j.want(refRecords, uri)
	rec, ok := j.c.Records[uri]
	if !ok {
		return nil
	}
	v, err := as2.ParseJSON(rec.Value)
	if err != nil {
		return nil
	}
	return v
}
