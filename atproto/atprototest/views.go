package atprototest

import (
	"net/http"
	"slices"
	"sort"
	"strings"
)

func (v *AppView) methods() methods {
	return methods{
		"app.bsky.actor.getProfile":          v.locked(v.getProfile),
		"app.bsky.actor.getProfiles":         v.locked(v.getProfiles),
		"app.bsky.feed.getPosts":             v.locked(v.getPosts),
		"app.bsky.feed.getPostThread":        v.locked(v.getPostThread),
		"app.bsky.feed.getAuthorFeed":        v.locked(v.getAuthorFeed),
		"app.bsky.feed.getLikes":             v.locked(v.getLikes),
		"app.bsky.feed.getRepostedBy":        v.locked(v.getRepostedBy),
		"app.bsky.feed.getQuotes":            v.locked(v.getQuotes),
		"app.bsky.graph.getFollowers":        v.locked(v.getFollowers),
		"app.bsky.graph.getFollows":          v.locked(v.getFollows),
		"com.atproto.identity.resolveHandle": v.locked(v.resolveHandle),
		"com.atproto.label.queryLabels": func(http.ResponseWriter, *http.Request) (any, error) {
			return map[string]any{"labels": []any{}}, nil
		},
	}
}

// locked runs a view under the index's lock.
func (v *AppView) locked(f func(r *http.Request) (any, error)) func(http.ResponseWriter, *http.Request) (any, error) {
	return func(_ http.ResponseWriter, r *http.Request) (any, error) {
		v.mu.Lock()
		defer v.mu.Unlock()
		return f(r)
	}
}

// find returns an actor by DID or handle.
func (v *AppView) find(id string) (*actor, error) {
	a, ok := v.actors[id]
	if !ok {
		for _, other := range v.actors {
			if other.handle == strings.ToLower(id) {
				a, ok = other, true
			}
		}
	}
	switch {
	case !ok || a.status == "deleted":
		return nil, badRequest("Profile not found")
	case !a.active && a.status == "takendown":
		return nil, &fault{http.StatusBadRequest, "AccountTakedown", "Account has been suspended"}
	case !a.active:
		return nil, &fault{http.StatusBadRequest, "AccountDeactivated", "Account is deactivated"}
	}
	return a, nil
}

func (v *AppView) shown(did string) bool {
	a, ok := v.actors[did]
	return ok && a.active
}

func (v *AppView) resolveHandle(r *http.Request) (any, error) {
	a, err := v.find(r.URL.Query().Get("handle"))
	if err != nil {
		return nil, err
	}
	return map[string]string{"did": a.did}, nil
}

func (v *AppView) basic(did string) map[string]any {
	out := map[string]any{"did": did, "handle": "handle.invalid", "labels": []any{}}
	if a, ok := v.actors[did]; ok && a.handle != "" {
		out["handle"] = a.handle
	}
	if p, ok := v.ix.records["at://"+did+"/app.bsky.actor.profile/self"]; ok {
		if name := text(p.data["displayName"]); name != "" {
			out["displayName"] = name
		}
		if link := v.imageURL(did, p.data["avatar"]); link != "" {
			out["avatar"] = link
		}
	}
	return out
}

func (v *AppView) profile(a *actor) map[string]any {
	out := v.basic(a.did)
	out["indexedAt"] = now8601(a.indexed)
	posts := 0
	for _, rec := range v.ix.records {
		if rec.did == a.did && rec.collection == "app.bsky.feed.post" {
			posts++
		}
	}
	out["postsCount"], out["followersCount"] = posts, len(v.edge("follow", a.did))
	out["followsCount"] = len(v.follows(a.did))
	if p, ok := v.ix.records["at://"+a.did+"/app.bsky.actor.profile/self"]; ok {
		out["description"] = text(p.data["description"])
		if link := v.imageURL(a.did, p.data["banner"]); link != "" {
			out["banner"] = link
		}
		if labels := p.data["labels"]; labels != nil {
			out["selfLabels"] = labels
		}
	}
	return out
}

func (v *AppView) getProfile(r *http.Request) (any, error) {
	a, err := v.find(r.URL.Query().Get("actor"))
	if err != nil {
		return nil, err
	}
	return v.profile(a), nil
}

func (v *AppView) getProfiles(r *http.Request) (any, error) {
	list := []any{}
	for _, id := range r.URL.Query()["actors"] {
		if a, err := v.find(id); err == nil {
			list = append(list, v.profile(a))
		}
	}
	return map[string]any{"profiles": list}, nil
}

// edge lists the records of a kind about a subject, duplicates and those of hidden accounts left out.
func (v *AppView) edge(kind, subject string) []*indexed {
	var out []*indexed
	for _, uri := range v.ix.edges[kind][subject] {
		if rec, ok := v.ix.records[uri]; ok && !rec.duplicate && v.shown(rec.did) {
			out = append(out, rec)
		}
	}
	return out
}

func (v *AppView) follows(did string) []*indexed {
	return v.of(did, "app.bsky.graph.follow")
}

// of lists an account's records of a collection, newest first.
func (v *AppView) of(did string, collections ...string) []*indexed {
	var out []*indexed
	for _, rec := range v.ix.records {
		if rec.did == did && slices.Contains(collections, rec.collection) && !rec.duplicate {
			out = append(out, rec)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].order > out[j].order })
	return out
}

func (v *AppView) post(uri string) (*indexed, bool) {
	rec, ok := v.ix.records[uri]
	return rec, ok && rec.collection == "app.bsky.feed.post" && v.shown(rec.did)
}

func (v *AppView) postView(rec *indexed) map[string]any {
	out := map[string]any{
		"uri": rec.uri, "cid": rec.cid, "author": v.basic(rec.did), "record": rec.data, "indexedAt": now8601(rec.at), "labels": []any{},
		"replyCount": len(v.edge("reply", rec.uri)), "repostCount": len(v.edge("repost", rec.uri)),
		"likeCount": len(v.edge("like", rec.uri)), "quoteCount": len(v.edge("quote", rec.uri)),
	}
	if embed := v.embed(rec.did, rec.data["embed"]); embed != nil {
		out["embed"] = embed
	}
	return out
}

func (v *AppView) getPosts(r *http.Request) (any, error) {
	list := []any{}
	for _, uri := range r.URL.Query()["uris"] {
		if rec, ok := v.post(v.canonical(uri)); ok {
			list = append(list, v.postView(rec))
		}
	}
	return map[string]any{"posts": list}, nil
}

// canonical replaces a handle in an at-uri by its DID.
func (v *AppView) canonical(uri string) string {
	id, path, err := splitURI(uri)
	if err != nil {
		return uri
	}
	if a, err := v.find(id); err == nil {
		return "at://" + a.did + "/" + path
	}
	return uri
}

func (v *AppView) getPostThread(r *http.Request) (any, error) {
	q := r.URL.Query()
	rec, ok := v.post(v.canonical(q.Get("uri")))
	if !ok {
		return nil, &fault{http.StatusBadRequest, "NotFound", "Post not found: " + q.Get("uri")}
	}
	node := v.thread(rec, atoi(q.Get("depth"), 6))
	if parent := parentOf(rec); parent != "" {
		node["parent"] = v.parents(parent, atoi(q.Get("parentHeight"), 80))
	}
	return map[string]any{"thread": node}, nil
}

func parentOf(rec *indexed) string {
	reply, _ := rec.data["reply"].(map[string]any)
	return refURI(reply["parent"])
}

func rootOf(rec *indexed) string {
	reply, _ := rec.data["reply"].(map[string]any)
	return refURI(reply["root"])
}

func (v *AppView) thread(rec *indexed, depth int) map[string]any {
	node := map[string]any{"$type": "app.bsky.feed.defs#threadViewPost", "post": v.postView(rec)}
	if depth <= 0 {
		return node
	}
	replies := []any{}
	for _, reply := range v.edge("reply", rec.uri) {
		if v.blocked(rec.did, reply.did) || v.gated(reply) {
			continue
		}
		replies = append(replies, v.thread(reply, depth-1))
	}
	node["replies"] = replies
	return node
}

func (v *AppView) parents(uri string, height int) map[string]any {
	rec, ok := v.post(uri)
	if !ok {
		return map[string]any{"$type": "app.bsky.feed.defs#notFoundPost", "uri": uri, "notFound": true}
	}
	node := map[string]any{"$type": "app.bsky.feed.defs#threadViewPost", "post": v.postView(rec)}
	if parent := parentOf(rec); parent != "" && height > 1 {
		node["parent"] = v.parents(parent, height-1)
	}
	return node
}

// blocked reports whether either of two people blocks the other.
func (v *AppView) blocked(a, b string) bool {
	return v.ix.has("block", a, b) || v.ix.has("block", b, a)
}

// gated reports whether the threadgate of a reply's root hides it.
func (v *AppView) gated(reply *indexed) bool {
	root, ok := v.ix.records[rootOf(reply)]
	if !ok || root.did == reply.did {
		return false
	}
	gate, ok := v.ix.records["at://"+root.did+"/app.bsky.feed.threadgate/"+root.rkey]
	if !ok {
		return false
	}
	rules, given := gate.data["allow"].([]any)
	if !given {
		return false
	}
	for _, rule := range rules {
		m, _ := rule.(map[string]any)
		if v.allows(text(m["$type"]), root, reply.did) {
			return false
		}
	}
	return true
}

func (v *AppView) allows(rule string, root *indexed, did string) bool {
	switch rule {
	case "app.bsky.feed.threadgate#followingRule":
		return v.ix.has("follow", did, root.did)
	case "app.bsky.feed.threadgate#followerRule":
		return v.ix.has("follow", root.did, did)
	case "app.bsky.feed.threadgate#mentionRule":
		return slices.Contains(mentions(root.data), did)
	}
	return false
}

// mentions lists the DIDs that the facets of a post name.
func mentions(data map[string]any) []string {
	var out []string
	facets, _ := data["facets"].([]any)
	for _, f := range facets {
		m, _ := f.(map[string]any)
		features, _ := m["features"].([]any)
		for _, feature := range features {
			x, _ := feature.(map[string]any)
			if did := text(x["did"]); did != "" {
				out = append(out, did)
			}
		}
	}
	return out
}

func (v *AppView) getAuthorFeed(r *http.Request) (any, error) {
	a, err := v.find(r.URL.Query().Get("actor"))
	if err != nil {
		return nil, err
	}
	feed := []any{}
	for _, rec := range v.of(a.did, "app.bsky.feed.post", "app.bsky.feed.repost") {
		if len(feed) == atoi(r.URL.Query().Get("limit"), 50) {
			break
		}
		if rec.collection == "app.bsky.feed.post" {
			feed = append(feed, map[string]any{"post": v.postView(rec)})
			continue
		}
		if subject, ok := v.post(refURI(rec.data["subject"])); ok {
			feed = append(feed, map[string]any{"post": v.postView(subject), "reason": map[string]any{
				"$type": "app.bsky.feed.defs#reasonRepost", "by": v.basic(a.did), "uri": rec.uri, "indexedAt": now8601(rec.at),
			}})
		}
	}
	return map[string]any{"feed": feed}, nil
}

func (v *AppView) getLikes(r *http.Request) (any, error) {
	uri := v.canonical(r.URL.Query().Get("uri"))
	list := []any{}
	for _, rec := range v.edge("like", uri) {
		list = append(list, map[string]any{"actor": v.basic(rec.did), "createdAt": rec.data["createdAt"], "indexedAt": now8601(rec.at)})
	}
	return map[string]any{"uri": uri, "likes": list}, nil
}

func (v *AppView) getRepostedBy(r *http.Request) (any, error) {
	uri := v.canonical(r.URL.Query().Get("uri"))
	list := []any{}
	for _, rec := range v.edge("repost", uri) {
		list = append(list, v.basic(rec.did))
	}
	return map[string]any{"uri": uri, "repostedBy": list}, nil
}

func (v *AppView) getQuotes(r *http.Request) (any, error) {
	uri := v.canonical(r.URL.Query().Get("uri"))
	list := []any{}
	for _, rec := range v.edge("quote", uri) {
		list = append(list, v.postView(rec))
	}
	return map[string]any{"uri": uri, "posts": list}, nil
}

func (v *AppView) getFollowers(r *http.Request) (any, error) {
	a, err := v.find(r.URL.Query().Get("actor"))
	if err != nil {
		return nil, err
	}
	list := []any{}
	for _, rec := range v.edge("follow", a.did) {
		list = append(list, v.basic(rec.did))
	}
	return map[string]any{"subject": v.basic(a.did), "followers": list}, nil
}

func (v *AppView) getFollows(r *http.Request) (any, error) {
	a, err := v.find(r.URL.Query().Get("actor"))
	if err != nil {
		return nil, err
	}
	list := []any{}
	for _, rec := range v.follows(a.did) {
		if did := text(rec.data["subject"]); v.shown(did) {
			list = append(list, v.basic(did))
		}
	}
	return map[string]any{"subject": v.basic(a.did), "follows": list}, nil
}
