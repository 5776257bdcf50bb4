package translate

import (
	"slices"
	"strings"
)

// EventRefs lists what FromEvent would look up in its Context. The author of the event is the first of DIDs.
func EventRefs(ev Event, domain string) Refs {
	var r refCollector
	r.did(ev.DID)
	did, collection, rkey, ok := SplitURI(ev.URI)
	if !ok {
		return r.refs
	}
	r.uri(ev.URI)
	records := []lex{decodeRecord(ev.Record), decodeRecord(ev.Previous)}
	for _, rec := range records {
		r.record(collection, rec)
	}
	switch collection {
	case nsidPost:
		// Its gates are often in the same commit; they say who may reply and quote.
		r.value("at://" + did + "/" + nsidThreadgate + "/" + rkey)
		r.value("at://" + did + "/" + nsidPostgate + "/" + rkey)
	case nsidThreadgate, nsidPostgate:
		r.value("at://" + did + "/" + nsidPost + "/" + rkey)
		r.value("at://" + did + "/" + nsidThreadgate + "/" + rkey)
		r.value("at://" + did + "/" + nsidPostgate + "/" + rkey)
	}
	return r.refs
}

// refCollector collects references, each once.
type refCollector struct {
	refs Refs
	seen map[string]struct{}
}

// first tells whether a reference is new; sets stay bounded, whatever a record holds.
func (r *refCollector) first(kind, s string) bool {
	key := kind + s
	if _, dup := r.seen[key]; dup || s == "" || len(r.seen) >= 1000 {
		return false
	}
	if r.seen == nil {
		r.seen = map[string]struct{}{}
	}
	r.seen[key] = struct{}{}
	return true
}

func (r *refCollector) did(s string) {
	if isDID(s) && r.first("did ", s) {
		r.refs.DIDs = append(r.refs.DIDs, s)
	}
}

// uri notes a record and its owner.
func (r *refCollector) uri(s string) {
	did, _, _, ok := SplitURI(s)
	if ok && r.first("uri ", s) {
		r.refs.URIs = append(r.refs.URIs, s)
		r.did(did)
	}
}

// value notes a record whose value is wanted, bridged or not.
func (r *refCollector) value(s string) {
	r.uri(s)
	if _, _, _, ok := SplitURI(s); ok && r.first("value ", s) {
		r.refs.Records = append(r.refs.Records, s)
	}
}

func (r *refCollector) record(collection string, rec lex) {
	switch collection {
	case nsidPost:
		r.post(rec)
	case nsidLike, nsidRepost, nsidRSVP:
		r.uri(rec.ref("subject"))
	case nsidFollow, nsidBlock:
		r.did(rec.str("subject"))
	case nsidProfile:
		r.uri(rec.ref("pinnedPost"))
		r.handles(rec.str("description"))
	case nsidDocument:
		r.value(rec.str("site"))
		r.handles(rec.str("textContent"))
	case nsidEvent:
		r.handles(rec.str("description"))
	case nsidPostgate:
		for _, v := range rec.list("detachedEmbeddingUris") {
			s, _ := v.(string)
			r.uri(s)
		}
	}
}

func (r *refCollector) post(rec lex) {
	if parent := rec.obj("reply").ref("parent"); parent != "" {
		r.uri(parent)
		if _, _, _, ok := SplitURI(parent); ok && !slices.Contains(r.refs.Parents, parent) {
			r.refs.Parents = append(r.refs.Parents, parent)
		}
	}
	if did, collection, rkey, ok := SplitURI(rec.obj("reply").ref("root")); ok && collection == nsidPost {
		r.uri(rec.obj("reply").ref("root"))
		r.value("at://" + did + "/" + nsidThreadgate + "/" + rkey)
	}
	for _, v := range rec.list("facets") {
		for _, f := range asLex(v).list("features") {
			r.did(asLex(f).str("did"))
			r.page(asLex(f).str("uri"))
		}
	}
	e := rec.obj("embed")
	quoted := e.ref("record")
	if inner := e.obj("record").ref("record"); inner != "" {
		quoted = inner
	}
	r.uri(quoted)
	switch did, collection, rkey, ok := SplitURI(quoted); {
	case ok && collection == nsidPost:
		r.value("at://" + did + "/" + nsidPostgate + "/" + rkey)
	case ok:
		r.value(quoted) // for its name
	}
	r.page(e.obj("external").str("uri"))
	r.handles(rec.str("text"))
}

// page notes the person whose page on bsky.app a link leads to: only links to people who joined are shown as links.
func (r *refCollector) page(href string) {
	rest, ok := strings.CutPrefix(href, "https://bsky.app/profile/")
	who, _, _ := strings.Cut(rest, "/")
	if !ok || who == "" {
		return
	}
	if strings.HasPrefix(who, "did:") {
		r.did(who)
	} else {
		r.handle(who)
	}
}

func (r *refCollector) handle(s string) {
	if s = strings.ToLower(s); isSegment(s, '.', '-') && strings.Contains(s, ".") && r.first("handle ", s) {
		r.refs.Handles = append(r.refs.Handles, s)
	}
}

// handles notes handles that are typed in a text.
func (r *refCollector) handles(text string) {
	eachHandle(text, func(_ int, handle string) { r.handle(handle) })
}
