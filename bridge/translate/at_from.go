package translate

import (
	"errors"
	"strings"
)

// FromEvent turns an event of an AT repo into activities ready to be signed and sent; EventRefs says what the Context
// should hold. Creates and updates need their author among the context's actors; deletes do not, and need only the
// object map's knowledge that there is something to delete.
func FromEvent(ev Event, c *Context) (APResult, error) {
	if c == nil {
		return APResult{}, errors.New("translating an event without a context")
	}
	j := newATJob(ev, c)
	activities, why := j.run()
	if why != None {
		activities = nil
	}
	return APResult{Activities: activities, Dropped: why, Losses: j.losses}, nil
}

func (j *atJob) run() ([]map[string]any, DropReason) {
	if !isDID(j.ev.DID) {
		return nil, DropMalformed
	}
	if why := j.notOurs(); why != None {
		return nil, why
	}
	if j.ev.Action == "account" {
		return j.account()
	}
	did, collection, rkey, ok := SplitURI(j.ev.URI)
	switch {
	case !ok:
		return nil, DropMalformed
	case did != j.ev.DID:
		return nil, DropNotOwner
	}
	switch j.ev.Action {
	case "create", "update":
		return j.write(collection, rkey)
	case "delete":
		return j.erase(collection, rkey)
	}
	return nil, DropMalformed
}

// notOurs refuses what the bridge, or another bridge, wrote itself, and what people wrote who did not join.
func (j *atJob) notOurs() DropReason {
	_, a, joined := j.actor(j.ev.DID)
	handle := strings.ToLower(j.ev.Handle)
	switch {
	case joined && a.Native == "ap", strings.HasSuffix(handle, "."+j.zone()), strings.HasSuffix(handle, ".brid.gy"):
		return DropLoop
	case !joined && (j.ev.Action == "create" || j.ev.Action == "update"):
		return DropAuthorNotJoined
	}
	return None
}

// zone is the domain under which the handles of copies are.
func (j *atJob) zone() string {
	_, host, found := strings.Cut(j.c.Domain, "://")
	if !found {
		host = j.c.Domain
	}
	host, _, _ = strings.Cut(host, ":")
	return "ap." + strings.ToLower(host)
}

// account carries an account event. A deleted account takes all with it; one that is only inactive may come back, so
// nothing that cannot be taken back is sent: its documents are hidden where they are served.
func (j *atJob) account() ([]map[string]any, DropReason) {
	if j.ev.Status != "deleted" {
		return nil, DropNoCounterpart
	}
	me := j.me()
	return []map[string]any{{
		"@context": contextTerms(0).value(), "id": DeleteID(me), "type": "Delete", "actor": me, "object": me,
		"to": []any{Public}, "cc": []any{me + "/followers"},
	}}, None
}

// write carries a record that was created or changed.
func (j *atJob) write(collection, rkey string) ([]map[string]any, DropReason) {
	rec := decodeRecord(j.ev.Record)
	if rec == nil || rec.typ() != "" && rec.typ() != collection {
		return nil, DropMalformed
	}
	switch collection {
	case nsidPost, nsidDocument, nsidEvent:
		return j.carry(collection, rec)
	case nsidLike, nsidRepost, nsidFollow, nsidBlock, nsidRSVP:
		return j.act(collection, rec)
	case nsidProfile:
		return j.profile(rkey)
	case nsidThreadgate, nsidPostgate:
		return j.gateEvent(collection, rkey)
	}
	return nil, DropNoCounterpart
}

// document makes the AS2 object of a record that becomes one.
func (j *atJob) document(collection, uri string, rec lex) (map[string]any, contextTerms, DropReason) {
	switch collection {
	case nsidDocument:
		return j.article(uri, rec)
	case nsidEvent:
		return j.event(uri, rec)
	}
	return j.note(uri, rec)
}

// carry carries a record that becomes an object, as Create or Update. One that was bridged and that its author has
// narrowed since is deleted; one whose surroundings have changed (its parent is gone) stays as it is.
func (j *atJob) carry(collection string, rec lex) ([]map[string]any, DropReason) {
	doc, ctx, why := j.document(collection, j.ev.URI, rec)
	if why != None {
		_, bridged := j.object(j.ev.URI)
		if j.ev.Action == "update" && bridged && narrowed(why) {
			return []map[string]any{j.remove(j.ev.URI, objectType(collection), nil)}, None
		}
		return nil, why
	}
	id, _ := doc["id"].(string)
	if j.ev.Action == "create" {
		return []map[string]any{j.wrap("Create", CreateID(id), doc, ctx)}, None
	}
	doc["updated"] = formatDate(j.c.Now)
	return []map[string]any{j.wrap("Update", UpdateID(id, j.version("v")), doc, ctx)}, None
}

// narrowed tells the reasons that lie in the record itself.
func narrowed(why DropReason) bool {
	return why == DropLoggedInOnly || why == DropByChoice || why == DropQuoteNotShared || why == DropEmpty
}

func objectType(collection string) string {
	switch collection {
	case nsidDocument:
		return "Article"
	case nsidEvent:
		return "Event"
	}
	return "Note"
}

// act carries a record that becomes an activity.
func (j *atJob) act(collection string, rec lex) ([]map[string]any, DropReason) {
	if collection == nsidRSVP {
		return j.rsvp(rec)
	}
	if j.ev.Action == "update" {
		return nil, DropUnchanged // such records have nothing that could be edited
	}
	a, why := j.action(j.ev.URI, collection, rec)
	if why != None {
		return nil, why
	}
	a["@context"] = contextTerms(0).value()
	return []map[string]any{a}, None
}

// erase carries the deletion of a record. What was never bridged is not deleted there either: a Delete would tell that
// it existed.
func (j *atJob) erase(collection, rkey string) ([]map[string]any, DropReason) {
	switch collection {
	case nsidPost, nsidDocument, nsidEvent:
		return j.eraseObject(collection)
	case nsidLike, nsidRepost, nsidFollow, nsidBlock:
		a, why := j.undo(j.ev.URI, collection)
		return []map[string]any{a}, why
	case nsidRSVP:
		return j.eraseRSVP()
	case nsidProfile:
		return j.profile(rkey)
	case nsidThreadgate, nsidPostgate:
		return j.gateEvent(collection, rkey)
	}
	return nil, DropNoCounterpart
}

func (j *atJob) eraseObject(collection string) ([]map[string]any, DropReason) {
	_, bridged := j.object(j.ev.URI)
	scratch := newATJob(j.ev, j.c)
	doc, _, why := scratch.document(collection, j.ev.URI, j.before(j.ev.URI))
	if !bridged && why != None {
		return nil, DropUnknownTarget
	}
	return []map[string]any{j.remove(j.ev.URI, objectType(collection), doc)}, None
}
