package translate

import (
	"strconv"
)

// action makes the activity that stands for a like, repost, follow or block, or says why there is none. The record's own
// AP id is the activity's id.
func (j *atJob) action(uri, collection string, rec lex) (map[string]any, DropReason) {
	if rec == nil || isOtherBridge(rec) {
		return nil, DropMalformed
	}
	switch collection {
	case nsidLike, nsidRepost:
		return j.reaction(uri, collection, rec)
	case nsidFollow, nsidBlock:
		return j.relation(uri, collection, rec)
	}
	return nil, DropNoCounterpart
}

// reaction makes a Like, addressed to the author alone, or an Announce, addressed to everybody.
func (j *atJob) reaction(uri, collection string, rec lex) (map[string]any, DropReason) {
	t, why := j.find(rec.ref("subject"))
	if why != None {
		return nil, why
	}
	gate := "canLike"
	if collection == nsidRepost {
		gate = "canAnnounce"
	}
	if !j.permitted(t, gate) {
		return nil, DropGated
	}
	a := map[string]any{"id": j.own(uri), "actor": j.me(), "object": t.id, "published": j.published(rec.str("createdAt"))}
	if collection == nsidRepost {
		a["type"] = "Announce"
		a["to"] = []any{Public}
		a["cc"] = distinct([]any{j.me() + "/followers", t.author})
		return a, None
	}
	if t.native == "at" {
		return nil, DropOwnNetwork
	}
	a["type"], a["to"], a["cc"] = "Like", []any{t.author}, []any{}
	return a, None
}

// relation makes a Follow or a Block, addressed to nobody but whom it is about.
func (j *atJob) relation(uri, collection string, rec lex) (map[string]any, DropReason) {
	did := rec.str("subject")
	id, a, joined := j.actor(did)
	switch {
	case !isDID(did):
		return nil, DropMalformed
	case did == j.ev.DID:
		return nil, DropSelf
	case !joined:
		return nil, DropTargetNotJoined
	case a.Native == "at":
		return nil, DropOwnNetwork
	}
	typ := "Follow"
	if collection == nsidBlock {
		typ = "Block"
	}
	return map[string]any{
		"id": j.own(uri), "type": typ, "actor": j.me(), "object": id,
		"published": j.published(rec.str("createdAt")), "to": []any{id}, "cc": []any{},
	}, None
}

// undo makes the Undo of an action. Servers find what is undone by its id, or by its actor and object, so the whole of it
// is embedded where it is known.
func (j *atJob) undo(uri, collection string) (map[string]any, DropReason) {
	rec := j.before(uri)
	inner, why := j.action(uri, collection, rec)
	if why != None {
		id, bridged := j.object(uri)
		if !bridged {
			return nil, DropUnknownTarget
		}
		// Its target is gone, or its record was never kept: undoing by id still works.
		inner = map[string]any{"id": id, "type": actionType(collection), "actor": j.me()}
	}
	to, cc := inner["to"], inner["cc"]
	if to == nil {
		to, cc = []any{}, []any{}
	}
	if collection == nsidRepost && why != None {
		to, cc = []any{Public}, []any{j.me() + "/followers"}
	}
	id, _ := inner["id"].(string)
	return map[string]any{
		"@context": contextTerms(0).value(), "id": UndoID(id), "type": "Undo", "actor": j.me(), "object": inner, "to": to, "cc": cc,
	}, None
}

func actionType(collection string) string {
	switch collection {
	case nsidLike:
		return "Like"
	case nsidRepost:
		return "Announce"
	case nsidFollow:
		return "Follow"
	case nsidBlock:
		return "Block"
	}
	return ""
}

// before is the record as it was before the event.
func (j *atJob) before(uri string) lex {
	if rec := decodeRecord(j.ev.Previous); rec != nil {
		return rec
	}
	return decodeRecord(j.c.Records[uri].Value)
}

// wrap puts an object into the activity that carries it, with the same audience on both (Lemmy and Pleroma need that).
func (j *atJob) wrap(typ, id string, doc map[string]any, ctx contextTerms) map[string]any {
	a := map[string]any{
		"@context": ctx.value(), "id": id, "type": typ, "actor": j.me(), "object": doc, "to": doc["to"], "cc": doc["cc"],
	}
	if typ == "Create" {
		a["published"] = doc["published"]
	}
	if group, ok := doc["audience"]; ok {
		a["audience"] = group
	}
	return a
}

// version names the version of a record that an event brings, for the id of an Update.
func (j *atJob) version(fallback string) string {
	if j.ev.CID != "" && isSegment(j.ev.CID) {
		return j.ev.CID
	}
	if t, ok := parseLexDate(decodeRecord(j.ev.Previous).str("createdAt")); ok {
		return fallback + "-" + strconv.FormatInt(t.UnixMilli(), 10)
	}
	return fallback + "-" + strconv.FormatInt(j.c.Now.UnixMilli(), 10)
}

// remove makes the Delete of an object, with the Tombstone that its id gives from now on, addressed like the object was.
func (j *atJob) remove(uri, formerType string, doc map[string]any) map[string]any {
	id := j.own(uri)
	to, cc := any([]any{Public}), any([]any{j.me() + "/followers"})
	if doc != nil {
		to, cc = doc["to"], doc["cc"]
	}
	return map[string]any{
		"@context": contextTerms(0).value(), "id": DeleteID(id), "type": "Delete", "actor": j.me(), "to": to, "cc": cc,
		"object": map[string]any{"id": id, "type": "Tombstone", "formerType": formerType, "deleted": formatDate(j.c.Now)},
	}
}
