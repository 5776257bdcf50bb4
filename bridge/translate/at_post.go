package translate

import (
	"footbridge/activitypub/as2"
	"slices"
	"strings"
	"time"
)

// note is an app.bsky.feed.post on its way to a Note.
type note struct {
	*atJob
	rec  lex
	uri  string
	id   string
	text *richText
	html textWriter
	cc   []string
	doc  map[string]any
	ctx  contextTerms
	// attachments are pictures and films, in the order of the record.
	attachments []any
	// shows tells whether anything of the author's own would be seen.
	shows bool
}

// NoteDocument is the bare object, with @context, that stands for a post, for storing and serving. The activity that
// carries it is FromEvent's.
func NoteDocument(ev Event, c *Context) (map[string]any, []Loss, DropReason) {
	j := newATJob(ev, c)
	doc, ctx, why := j.note(ev.URI, decodeRecord(ev.Record))
	if why != None {
		return nil, j.losses, why
	}
	doc["@context"] = ctx.value()
	return doc, j.losses, None
}

// note makes the Note of a post, or says why there is none.
func (j *atJob) note(uri string, rec lex) (map[string]any, contextTerms, DropReason) {
	n := &note{atJob: j, rec: rec, uri: uri, id: j.own(uri)}
	for _, step := range []func() DropReason{n.admit, n.reply, n.body, n.embed, n.finish} {
		if why := step(); why != None {
			return nil, 0, why
		}
	}
	return n.doc, n.ctx, None
}

// admit refuses posts that must not leave, and begins the document.
func (n *note) admit() DropReason {
	if n.rec == nil || n.id == "" {
		return DropMalformed
	}
	if isOtherBridge(n.rec) {
		return DropLoop
	}
	n.doc = make(map[string]any, 16)
	n.doc["id"] = n.id
	n.doc["type"] = "Note"
	n.doc["attributedTo"] = n.me()
	n.doc["published"] = n.published(n.rec.str("createdAt"))
	n.doc["url"] = WebURL(n.uri)
	if n.c.Options.Language == "" {
		if langs := n.langs(n.rec); len(langs) > 0 { // the words that the bridge adds are in the language of the post
			n.lines = noticesIn(langs[0])
		}
	}
	return n.labels()
}

// isOtherBridge reports the marks that other bridges and dual-protocol servers put into the records they make: what they
// carry is on the fediverse already.
func isOtherBridge(rec lex) bool {
	for _, mark := range []string{"bridgyOriginalUrl", "bridgyOriginalText", "fediverseId"} {
		if rec.str(mark) != "" {
			return true
		}
	}
	return false
}

// published normalises a date to UTC with milliseconds. One that is missing, unreadable or in the future becomes now:
// Misskey and others discard what comes from the future.
func (j *atJob) published(s string) string {
	t, ok := parseLexDate(s)
	if !ok || t.After(j.c.Now.Add(5*time.Minute)) || t.Year() < 1 {
		j.lose(LossDateReplaced, s)
		t = j.c.Now
	}
	return formatDate(t)
}

func parseLexDate(s string) (time.Time, bool) {
	if len(s) > 64 {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	return t.UTC(), err == nil
}

func formatDate(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// reply sets inReplyTo. A reply goes where its parent is known, or nowhere: it is never shown as a post of its own.
func (n *note) reply() DropReason {
	if n.rec["reply"] == nil {
		return None
	}
	parent := n.rec.obj("reply").ref("parent")
	t, why := n.find(parent)
	if why == DropTargetNotShared {
		why = DropParentNotShared
	}
	if why != None {
		return why
	}
	if !n.permitted(t, "canReply") || n.threadClosed(n.rec.obj("reply").ref("root")) {
		return DropGated
	}
	n.doc["inReplyTo"] = t.id
	n.thread(t)
	if t.author == n.me() {
		return None
	}
	// A server notifies of a reply only if the parent's author is mentioned and addressed.
	n.text = &richText{}
	n.text.tags.mention(t.author, n.c.Actors[t.author])
	n.address(t.author)
	return None
}

// thread copies what holds a conversation together on the parent's server: context, conversation, and the group.
func (n *note) thread(t target) {
	if t.native != "ap" {
		return
	}
	if s, ok := t.doc.Context.(string); ok && s != "" {
		n.doc["context"] = s
	}
	if s, ok := t.doc.Conversation.(string); ok && s != "" {
		n.doc["conversation"] = s
		n.ctx |= termConversation
	}
	group := firstID(t.doc.Audience)
	if strings.HasPrefix(group, "https://") && group != Public && !strings.HasSuffix(group, "/followers") {
		n.doc["audience"] = group
		n.address(group)
	}
}

// address adds a recipient, once, and never the author.
func (n *note) address(id string) {
	if id != n.me() && !slices.Contains(n.cc, id) {
		n.cc = append(n.cc, id)
	}
}

// body writes the text.
func (n *note) body() DropReason {
	rt := n.richText(n.rec, "text", "facets")
	if n.text != nil { // the reply's mention stands first
		tags := n.text.tags
		for _, t := range rt.tags.all {
			tags.add(tagKey(asLex(t)), asLex(t))
		}
		rt.tags = tags
	}
	n.text = rt
	for _, t := range n.rec.list("tags") {
		if s, ok := t.(string); ok {
			rt.tags.hashtag(s)
		}
	}
	for _, id := range rt.mentioned {
		n.address(id)
	}
	n.shows = strings.TrimSpace(rt.text) != ""
	n.linkTyped(n.cardURL())
	n.html.writeText(rt.text, rt.spans)
	return None
}

// tagKey is the key under which a tag is listed once.
func tagKey(t lex) string {
	if t.str("type") == "Mention" {
		return "@" + t.str("href")
	}
	return "#" + strings.ToLower(t.str("name"))
}

// linkTyped makes a link of an address that is typed in the text without a facet, if it is the one of the card.
func (n *note) linkTyped(href string) {
	if href == "" || n.linksTo(href) {
		return
	}
	start := strings.Index(n.text.text, href)
	if start < 0 || n.isForeignPost(href) {
		return
	}
	end := start + len(href)
	if end < len(n.text.text) && !strings.ContainsAny(n.text.text[end:end+1], " \t\r\n,.;:!?)]}\"'<>") {
		return // it goes on: another address
	}
	n.text.links = append(n.text.links, href)
	n.text.spans = n.untangle(append(n.text.spans, span{start: start, end: end, kind: spanLink, href: href}))
}

// linksTo reports whether the text has a link to an address already.
func (n *note) linksTo(href string) bool {
	for _, l := range n.text.links {
		if strings.TrimRight(l, "/") == strings.TrimRight(href, "/") {
			return true
		}
	}
	return false
}

// finish sets what depends on all the rest.
func (n *note) finish() DropReason {
	if !n.shows {
		return DropEmpty
	}
	content := n.html.String()
	n.doc["content"] = content
	if m := n.languages(content); len(m) > 0 {
		n.doc["contentMap"] = m
	}
	if n.text.tags.all != nil {
		n.doc["tag"] = n.text.tags.all
		if slices.ContainsFunc(n.text.tags.all, func(t any) bool { return asLex(t).str("type") == "Hashtag" }) {
			n.ctx |= termHashtag
		}
	}
	if n.attachments != nil {
		n.doc["attachment"] = n.attachments
	}
	n.doc["to"] = []any{Public}
	n.doc["cc"] = anyList(append([]string{n.me() + "/followers"}, n.cc...))
	n.policy()
	n.ctx |= termSensitive
	return None
}

// langs are the usable languages of a record.
func (j *atJob) langs(rec lex) []string {
	var out []string
	for _, v := range rec.list("langs") {
		s, _ := v.(string)
		tag, ok := languageTag(s)
		if !ok && tag != "und" {
			j.lose(LossLangUnusable, s)
		}
		if !ok {
			continue
		}
		if !slices.Contains(out, tag) && len(out) < 8 {
			out = append(out, tag)
		}
	}
	return out
}

// languages is the contentMap: the same text under each language, first the first, which is the one Mastodon takes. A
// post without a usable language has none: unknown stays unknown.
func (n *note) languages(content string) langMap {
	var m langMap
	for _, l := range n.langs(n.rec) {
		m = append(m, langText{l, content})
	}
	return m
}

// langMap is a language map that keeps its order on the wire: servers that take one language take the first key.
type langMap []langText

type langText struct{ lang, text string }

// MarshalJSON writes an object.
func (m langMap) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, e := range m {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(as2.AppendString(b, e.lang), ':')
		b = as2.AppendString(b, e.text)
	}
	return append(b, '}'), nil
}

func anyList(ids []string) []any {
	out := make([]any, len(ids))
	for i, id := range ids {
		out[i] = id
	}
	return out
}
