package translate

import (
	"footbridge/activitypub/as2"
	"sort"
	"strings"
)

// targets are the ids of what an activity is about; an embedded object counts by its id alone, whatever it says.
func (j *apJob) targets() []string { return j.doc.Refs("object") }

// simple writes a record that has a subject and a date: a like, a repost, a follow, a block.
func (j *apJob) simple(collection string, subject any, n int) {
	source := j.doc.ID()
	if source == "" {
		source = j.actorID + "#" + j.doc.Type() + ":" + strings.Join(j.targets(), " ")
	}
	key := recordTID(source, j.published(j.doc), j.c.Incarnation, n)
	j.out.Writes = append(j.out.Writes, Write{
		Action: "create", Collection: collection, RKey: key, URI: "at://" + j.actor.DID + "/" + collection + "/" + key,
		Record: map[string]any{"$type": collection, "subject": subject, "createdAt": j.createdAt(j.doc)}, Source: source, Part: n,
	})
}

// like becomes a like, and so does a reaction with an emoji, in whichever of the three forms it comes (FEP-c0e0).
func (j *apJob) like() {
	if !j.act(j.doc.RefOf("actor")) {
		return
	}
	emoji := j.doc.Text("content")
	if emoji == "" {
		emoji = j.doc.Get("_misskey_reaction").Str()
	}
	if emoji != "" && emoji != "❤" && emoji != "❤️" {
		j.lose(LossReaction, emoji)
	}
	j.onPosts(nsidLike)
}

// announce becomes a repost. What a group passes on (FEP-1b12) is not a boost: the original is what counts.
func (j *apJob) announce() {
	if isAPActivity(j.doc.Get("object").First()) {
		j.drop(DropGroupRelay)
		return
	}
	if !j.act(j.doc.RefOf("actor")) {
		return
	}
	if aud := audienceOf(j.doc, nil); aud != audiencePublic && !j.collecting() {
		j.drop(aud.dropReason())
		return
	}
	j.onPosts(nsidRepost)
}

// onPosts writes a record for each of the posts that were bridged.
func (j *apJob) onPosts(collection string) {
	n := 0
	for _, id := range j.targets() {
		ref, ok := j.strongRef(id)
		if _, coll, _, valid := SplitURI(ref.URI); !ok || !valid || coll == nsidProfile {
			continue
		}
		j.simple(collection, refMap(ref), n)
		n++
	}
	if n == 0 {
		j.drop(DropTargetNotShared)
	}
}

// follow becomes a follow of a person who joined.
func (j *apJob) follow() {
	if j.act(j.doc.RefOf("actor")) {
		j.onPeople(nsidFollow)
	}
}

// block becomes a block. One with a target is a moderator's ban from a community, which is another thing.
func (j *apJob) block() {
	if j.doc.Has("target") {
		j.drop(DropNoCounterpart)
		return
	}
	if j.act(j.doc.RefOf("actor")) {
		j.onPeople(nsidBlock)
	}
}

func (j *apJob) onPeople(collection string) {
	n, self := 0, false
	for _, id := range j.targets() {
		did, _ := j.personByHref(id)
		switch did {
		case "":
		case j.actor.DID:
			self = true
		default:
			j.simple(collection, did, n)
			n++
		}
	}
	switch {
	case n > 0:
	case self:
		j.drop(DropSelf)
	default:
		j.drop(DropTargetNotJoined)
	}
}

// undo takes back what was bridged: by the id of the activity, or, for servers that do not repeat ids, by what it was
// about.
func (j *apJob) undo() {
	if !j.act(j.doc.RefOf("actor")) {
		return
	}
	inner := j.doc.Get("object").First()
	if by := inner.RefOf("actor"); by != "" && by != j.actorID && !j.collecting() {
		j.drop(DropNotOwner)
		return
	}
	if ref, ok := j.known(inner.Ref()); ok {
		if didOf(ref.URI) != j.actor.DID {
			j.drop(DropNotOwner)
			return
		}
		j.deleteRecord(inner.Ref(), ref.URI)
		return
	}
	if uri := j.recordLike(inner); uri != "" {
		j.deleteRecord(inner.Ref(), uri)
		return
	}
	j.drop(DropUnknownTarget)
}

// recordLike finds the actor's own record that an embedded activity would have made.
func (j *apJob) recordLike(inner *as2.Value) string {
	collection := map[string]string{"Like": nsidLike, "EmojiReact": nsidLike, "Announce": nsidRepost, "Follow": nsidFollow, "Block": nsidBlock}[inner.Type()]
	if collection == "" {
		return ""
	}
	target := inner.RefOf("object")
	subject, _ := j.personByHref(target)
	if ref, ok := j.strongRef(target); ok && (collection == nsidLike || collection == nsidRepost) {
		subject = ref.URI
	}
	if subject == "" {
		return ""
	}
	prefix := "at://" + j.actor.DID + "/" + collection + "/"
	var found []string
	for uri := range j.c.Records {
		if !strings.HasPrefix(uri, prefix) {
			continue
		}
		s := j.record(uri).Get("subject")
		if s.Str() == subject || s.Get("uri").Str() == subject {
			found = append(found, uri)
		}
	}
	sort.Strings(found)
	if len(found) == 0 {
		return ""
	}
	return found[0]
}

// remove is a Delete: of a post, or of the account if it is the actor itself.
func (j *apJob) remove() {
	if !j.act(j.doc.RefOf("actor")) {
		return
	}
	ids := j.targets()
	for _, id := range ids {
		if id == j.actorID {
			j.out.Account = "delete"
			return
		}
	}
	for _, id := range ids {
		j.deleteObject(id)
	}
	if len(ids) == 0 {
		j.drop(DropMalformed)
	}
}

// tombstone stands where an object of ours was fetched and is gone; its server is the authority for it.
func (j *apJob) tombstone() {
	ref, ok := j.known(j.doc.ID())
	if !ok {
		j.drop(DropUnknownTarget)
		return
	}
	for id, a := range j.c.Actors {
		if a.DID == didOf(ref.URI) && a.Native == "ap" && hostOf(id) == hostOf(j.doc.ID()) {
			j.actorID, j.actor = id, a
			j.deletePost(j.doc.ID(), ref.URI)
			return
		}
	}
	j.drop(DropNotOwner)
}

// deleteObject deletes the record that stands for an object, if it is the actor's.
func (j *apJob) deleteObject(id string) {
	ref, ok := j.known(id)
	switch {
	case j.collecting():
		j.deletePost(id, "")
	case !ok:
		if len(j.out.Writes) == 0 {
			j.drop(DropUnknownTarget)
		}
	case didOf(ref.URI) != j.actor.DID:
		j.drop(DropNotOwner)
	default:
		j.deletePost(id, ref.URI)
	}
}

// deletePost deletes a record and what stands beside it.
func (j *apJob) deletePost(id, uri string) {
	j.deleteRecord(id, uri)
	j.deleteBeside(id, uri, nil)
}

// deleteRecord deletes one record.
func (j *apJob) deleteRecord(source, uri string) {
	if _, collection, key, ok := SplitURI(uri); ok {
		j.out.Writes = append(j.out.Writes, Write{Action: "delete", Collection: collection, RKey: key, URI: uri, Source: source})
	}
}

// move says that the account went elsewhere. Nobody is moved along: the person is asked again under the new address.
func (j *apJob) move() {
	if j.act(j.doc.RefOf("actor")) {
		j.lose(LossMoved, "")
		j.drop(DropMoved)
	}
}

// pin puts a post that was added to the featured collection on the profile (app.bsky.actor.profile#pinnedPost).
func (j *apJob) pin() {
	if !j.ownFeatured() {
		return
	}
	for _, id := range j.targets() {
		if ref, ok := j.strongRef(id); ok && didOf(ref.URI) == j.actor.DID {
			j.changePin(func(p map[string]any) bool {
				p["pinnedPost"] = refMap(ref)
				return true
			})
			return
		}
	}
	j.drop(DropTargetNotShared)
}

// unpin takes a post off the profile if it is the pinned one.
func (j *apJob) unpin() {
	if !j.ownFeatured() {
		return
	}
	for _, id := range j.targets() {
		ref, ok := j.strongRef(id)
		if !ok {
			continue
		}
		j.changePin(func(p map[string]any) bool {
			pinned, _ := p["pinnedPost"].(map[string]any)
			if pinned == nil || pinned["uri"] != ref.URI {
				return false
			}
			delete(p, "pinnedPost")
			return true
		})
		return
	}
	j.drop(DropTargetNotShared)
}

// ownFeatured tells whether the activity is about the actor's own collection of featured posts. Collections of
// hashtags and of a community's moderators are other things.
func (j *apJob) ownFeatured() bool {
	if !j.act(j.doc.RefOf("actor")) {
		return false
	}
	target := j.doc.RefOf("target")
	featured := j.featuredOf()
	switch {
	case j.collecting():
		return true
	case isActorType(j.doc.Get("object").First()), j.doc.Get("object").First().Is("Hashtag"):
		j.drop(DropNoCounterpart)
		return false
	case featured != "" && target != featured, featured == "" && (!strings.Contains(target, "featured") || strings.Contains(target, "tags")),
		hostOf(target) != hostOf(j.actorID):
		j.drop(DropNoCounterpart)
		return false
	}
	return true
}

// featuredOf is the featured collection that the actor's document names, if it was fetched.
func (j *apJob) featuredOf() string {
	j.want(refObjects, j.actorID)
	v, err := as2.Parse(j.c.APObjects[j.actorID])
	if err != nil {
		return ""
	}
	return v.RefOf("featured")
}

// changePin rewrites the profile record, which has to be known: a record is replaced whole.
func (j *apJob) changePin(change func(map[string]any) bool) {
	uri := "at://" + j.actor.DID + "/" + nsidProfile + "/self"
	rec := j.record(uri)
	if !rec.IsObject() {
		j.drop(DropUnknownTarget)
		return
	}
	profile, _ := integers(rec.Any()).(map[string]any)
	if !change(profile) {
		j.drop(DropUnchanged)
		return
	}
	profile["$type"] = nsidProfile
	j.out.Writes = append(j.out.Writes, Write{Action: "update", Collection: nsidProfile, RKey: "self", URI: uri, Record: profile})
}

// integers turns whole numbers back into what records hold.
func integers(v any) any {
	switch v := v.(type) {
	case float64:
		return int64(v)
	case map[string]any:
		for k, x := range v {
			v[k] = integers(x)
		}
	case []any:
		for i, x := range v {
			v[i] = integers(x)
		}
	}
	return v
}
