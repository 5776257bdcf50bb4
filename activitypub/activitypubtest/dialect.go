package activitypubtest

// Dialect names the software whose habits a fake server follows.
type Dialect string

// The dialects.
const (
	Mastodon   Dialect = "mastodon"
	GoToSocial Dialect = "gotosocial"
	Misskey    Dialect = "misskey"
	Pleroma    Dialect = "pleroma"
	Lemmy      Dialect = "lemmy"
	PeerTube   Dialect = "peertube"
	Fedify     Dialect = "fedify"
)

// rules are the habits that differ.
type rules struct {
	version string
	// covered headers of a POST, in order, and the algorithm name written.
	covered   []string
	algorithm string
	// reads9421 and sends9421: whether RFC 9421 is understood, and tried first.
	reads9421, sends9421 bool
	// secure wants every read signed.
	secure bool
	// actorPath is the path of actors, %s for the name; keySuffix is appended to an actor id for its key.
	actorPath, keySuffix string
	// noShared has no shared inbox.
	noShared bool
	// person is the type of ordinary actors.
	person string
}

var mastodonOrder = []string{"(request-target)", "host", "date", "digest", "content-type"}

var dialects = map[Dialect]rules{
	Mastodon:   {version: "4.6.5", covered: mastodonOrder, algorithm: "rsa-sha256", reads9421: true, actorPath: "/users/%s", keySuffix: "#main-key"},
	GoToSocial: {version: "0.20.0", covered: []string{"(request-target)", "host", "date", "digest"}, algorithm: "hs2019", secure: true, actorPath: "/users/%s", keySuffix: "/main-key"},
	Misskey:    {version: "2026.8.0", covered: []string{"(request-target)", "date", "host", "digest"}, algorithm: "rsa-sha256", actorPath: "/users/%s", keySuffix: "#main-key"},
	Pleroma:    {version: "2.10.0", covered: []string{"(request-target)", "content-length", "date", "digest", "host"}, algorithm: "rsa-sha256", actorPath: "/users/%s", keySuffix: "#main-key"},
	Lemmy:      {version: "1.0.0", covered: []string{"(request-target)", "content-type", "date", "digest", "host"}, algorithm: "hs2019", actorPath: "/u/%s", keySuffix: "#main-key"},
	PeerTube:   {version: "7.3.0", covered: []string{"(request-target)", "host", "date", "digest"}, algorithm: "rsa-sha256", actorPath: "/accounts/%s", keySuffix: "#main-key"},
	Fedify:     {version: "2.3.6", covered: mastodonOrder, algorithm: "rsa-sha256", reads9421: true, sends9421: true, actorPath: "/users/%s", keySuffix: "#main-key"},
}

// Dialects lists them all.
func Dialects() []Dialect {
	return []Dialect{Mastodon, GoToSocial, Misskey, Pleroma, Lemmy, PeerTube, Fedify}
}

// decorate gives a note the extra properties that the software adds.
func (d Dialect) decorate(note map[string]any, n Note) {
	id, _ := note["id"].(string)
	switch d {
	case Mastodon:
		note["atomUri"], note["inReplyToAtomUri"], note["conversation"] = id, nil, "tag:"+id
		note["replies"] = map[string]any{"id": id + "/replies", "type": "Collection", "first": map[string]any{"type": "CollectionPage", "next": id + "/replies?page=true", "partOf": id + "/replies", "items": []any{}}}
		if note["summary"] == nil {
			note["summary"] = nil
		}
	case GoToSocial:
		note["interactionPolicy"] = map[string]any{
			"canLike":     map[string]any{"always": publicURI, "approvalRequired": []any{}, "automaticApproval": publicURI},
			"canReply":    map[string]any{"always": publicURI, "approvalRequired": []any{}, "automaticApproval": publicURI},
			"canAnnounce": map[string]any{"always": publicURI, "approvalRequired": []any{}, "automaticApproval": publicURI}}
		scalars(note, "to", "tag", "attachment")
	case Misskey:
		note["_misskey_content"], note["_misskey_summary"] = n.Content, nil
		note["source"] = map[string]any{"content": n.Content, "mediaType": "text/x.misskeymarkdown"}
		if n.Quote != "" {
			note["_misskey_quote"], note["quoteUrl"] = n.Quote, n.Quote
			delete(note, "quote")
		}
	case Pleroma:
		note["actor"], note["context"], note["source"] = note["attributedTo"], id+"/context", map[string]any{"content": n.Content, "mediaType": "text/plain"}
		note["summary"] = n.Summary
	case Lemmy:
		lemmyPage(note, n)
	case PeerTube:
		if note["type"] == "Video" {
			peerTubeVideo(note, n)
		}
	}
}

// lemmyPage makes a post with a title a Page, which names its group as audience.
func lemmyPage(note map[string]any, n Note) {
	note["source"] = map[string]any{"content": n.Content, "mediaType": "text/markdown"}
	if n.Title == "" {
		return
	}
	note["type"], note["mediaType"], note["commentsEnabled"], note["stickied"] = "Page", "text/html", true, false
	if len(n.Mentions) > 0 {
		note["audience"] = n.Mentions[0]
	}
}

// peerTubeVideo has links of all kinds where others have one url, and an author and a channel.
func peerTubeVideo(note map[string]any, n Note) {
	id, _ := note["id"].(string)
	author, _ := note["attributedTo"].(string)
	link := func(mime, href string) map[string]any {
		return map[string]any{"type": "Link", "mediaType": mime, "href": href}
	}
	urls := []any{link("text/html", id)}
	for _, f := range n.Attachments {
		urls = append(urls, link(f.Mime, f.URL))
	}
	note["url"], note["duration"], note["mediaType"], note["attachment"] = urls, "PT63S", "text/markdown", []any{}
	note["attributedTo"] = []any{map[string]any{"type": "Person", "id": author}, map[string]any{"type": "Group", "id": author + "/channel"}}
	note["support"], note["commentsPolicy"], note["views"] = nil, 1, 7
}

// scalars writes one-element arrays as their element, as JSON-LD compaction does.
func scalars(doc map[string]any, keys ...string) {
	for _, k := range keys {
		if l, ok := doc[k].([]any); ok && len(l) == 1 {
			doc[k] = l[0]
		} else if ok && len(l) == 0 {
			delete(doc, k)
		}
	}
}
