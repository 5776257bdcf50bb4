package translate

import (
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// richText is a text with what its facets mean on the other side.
type richText struct {
	text  string
	spans []span
	tags  tagList
	// mentioned are the actor ids of the joined people it mentions, for the audience.
	mentioned []string
	// links are the targets of its link facets.
	links []string
}

// tagList collects the elements of an AS2 tag property, each once.
type tagList struct {
	all  []any
	seen map[string]struct{}
}

func (l *tagList) add(key string, tag map[string]any) bool {
	if _, dup := l.seen[key]; dup {
		return false
	}
	if l.seen == nil {
		l.seen = map[string]struct{}{}
	}
	l.seen[key] = struct{}{}
	l.all = append(l.all, tag)
	return true
}

// mention adds a Mention; name is @user@host, without which Mastodon does not resolve it.
func (l *tagList) mention(id string, a Actor) bool {
	name := a.Acct
	if name == "" {
		name = a.Handle
	}
	return l.add("@"+id, map[string]any{"type": "Mention", "href": id, "name": "@" + name})
}

// hashtag adds a Hashtag.
func (l *tagList) hashtag(tag string) {
	if name, href := hashtag(tag); name != "" {
		l.add("#"+strings.ToLower(name), map[string]any{"type": "Hashtag", "name": name, "href": href})
	}
}

// hashtag gives the AS2 name and the page of a tag. Cashtags ($ABC) have no form of their own in AS2.
func hashtag(tag string) (name, href string) {
	tag = strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, tag))
	bare := strings.TrimLeft(tag, "#＃$")
	if bare == "" || len(bare) > 640 {
		return "", ""
	}
	return "#" + bare, "https://bsky.app/hashtag/" + url.PathEscape(bare)
}

// facetRange is a facet whose range is usable.
type facetRange struct {
	start, end int
	features   []any
}

// richText reads the text of a record and its facets.
func (j *atJob) richText(m lex, textKey, facetsKey string) *richText {
	rt := &richText{text: m.str(textKey)}
	if hasControls(rt.text) {
		j.lose(LossControlCharacters, "")
	}
	facets := j.facetRanges(rt.text, m.list(facetsKey))
	for _, f := range facets {
		if s, ok := j.resolve(rt, f); ok {
			rt.spans = append(rt.spans, s)
		}
	}
	rt.spans = append(rt.spans, j.typedHandles(rt.text)...)
	rt.spans = j.untangle(rt.spans)
	return rt
}

// facetRanges checks ranges. One that goes past the end is cut to it, as the Bluesky app does; one that is empty, backward
// or splits a character (offsets counted in UTF-16, for example) says nothing reliable and is left out.
func (j *atJob) facetRanges(text string, facets []any) []facetRange {
	out := make([]facetRange, 0, len(facets))
	for _, v := range facets {
		m := asLex(v)
		index := m.obj("index")
		start, okStart := index.integer("byteStart")
		end, okEnd := index.integer("byteEnd")
		f := facetRange{aroundBreak(text, start), aroundBreak(text, min(end, len(text))), m.list("features")}
		if !okStart || !okEnd || start < 0 || f.start >= f.end || !isBorder(text, f.start) || !isBorder(text, f.end) {
			j.lose(LossFacet, "")
			continue
		}
		out = append(out, f)
	}
	return out
}

// aroundBreak moves a border that stands between CR and LF behind both: together they are one line break.
func aroundBreak(text string, i int) int {
	if i > 0 && i < len(text) && text[i-1] == '\r' && text[i] == '\n' {
		return i + 1
	}
	return i
}

// resolve turns a facet into a span; of several features the most specific is shown (mention, link, tag, the order of the
// Bluesky app), and each is listed.
func (j *atJob) resolve(rt *richText, f facetRange) (span, bool) {
	best, found := span{}, false
	text := rt.text[f.start:f.end]
	for _, v := range f.features {
		s, ok := j.feature(rt, asLex(v), text)
		if ok && (!found || rank(s.kind) < rank(best.kind)) {
			best, found = s, true
		}
	}
	best.start, best.end = f.start, f.end
	return best, found
}

// rank orders kinds of spans. What hides somebody who did not join outranks all, so that no link leads to them.
func rank(k spanKind) int {
	switch k {
	case spanBare:
		return 0
	case spanMention:
		return 1
	case spanLink:
		return 2
	}
	return 3
}

func (j *atJob) feature(rt *richText, m lex, text string) (span, bool) {
	switch m.typ() {
	case "app.bsky.richtext.facet#mention":
		return j.mentionFeature(rt, m.str("did"), text)
	case "app.bsky.richtext.facet#link":
		return j.linkFeature(rt, m.str("uri"), text)
	case "app.bsky.richtext.facet#tag":
		tag := m.str("tag")
		rt.tags.hashtag(tag)
		_, href := hashtag(tag)
		return span{kind: spanTag, href: href}, href != ""
	}
	j.lose(LossFacet, m.typ())
	return span{}, false
}

// mentionFeature shows a person who joined as a link that notifies, anybody else as a bare name (R34).
func (j *atJob) mentionFeature(rt *richText, did, text string) (span, bool) {
	id, a, ok := j.actor(did)
	if !ok {
		if !isDID(did) {
			j.lose(LossFacet, "")
			return span{}, false
		}
		bare := bareName(text)
		j.lose(LossMentionNotJoined, bare)
		return span{kind: spanBare, text: bare}, true
	}
	rt.tags.mention(id, a)
	if !slices.Contains(rt.mentioned, id) && len(rt.mentioned) < 500 {
		rt.mentioned = append(rt.mentioned, id)
	}
	return span{kind: spanMention, href: pageOf(id, a)}, true
}

// pageOf is where a mention leads: the page for people, which servers match with the account's url.
func pageOf(id string, a Actor) string {
	if u, ok := safeURL(a.URL); ok && strings.HasPrefix(u, "http") {
		return u
	}
	return id
}

// bareName cuts a handle or acct to its first part: no domain remains. Where a facet marks several words, only those that
// are written as addresses are cut; the others are the author's own.
func bareName(text string) string {
	if !strings.ContainsAny(strings.TrimSpace(text), " \t\r\n") {
		return bareWord(text)
	}
	words := strings.Split(text, " ")
	for i, w := range words {
		if strings.HasPrefix(w, "@") || strings.HasPrefix(w, "＠") {
			words[i] = bareWord(w)
		}
	}
	return strings.Join(words, " ")
}

func bareWord(word string) string {
	name := strings.TrimLeft(word, " \t\r\n@＠")
	sigil := word[:len(word)-len(name)]
	name, _, _ = strings.Cut(name, "@")
	name, _, _ = strings.Cut(name, ".")
	return sigil + name
}

// linkFeature shows a link, if a browser may open it. A link to a post whose author did not join stays the text that it
// is, where the text tells the whole address (R41).
func (j *atJob) linkFeature(rt *richText, uri, text string) (span, bool) {
	href, ok := j.webLink(uri)
	if !ok {
		j.lose(LossLinkScheme, uri)
		return span{}, false
	}
	rt.links = append(rt.links, href)
	if strings.Contains(text, uri) && j.isForeignPost(href) {
		j.lose(LossLinkNotShared, "")
		return span{}, false
	}
	return span{kind: spanLink, href: href}, true
}

// untangle orders spans and leaves out those that overlap one before them. Spans that hide somebody come first, whatever
// they overlap; for the rest the earlier one stays, and of two that begin together the first in the record.
func (j *atJob) untangle(spans []span) []span {
	if len(spans) < 2 {
		return spans
	}
	slices.SortStableFunc(spans, func(a, b span) int { return a.start - b.start })
	var bare []span
	for _, s := range spans {
		if s.kind == spanBare && (len(bare) == 0 || s.start >= bare[len(bare)-1].end) {
			bare = append(bare, s)
		}
	}
	out := make([]span, 0, len(spans))
	at, b := 0, 0
	for _, s := range spans {
		for b < len(bare) && bare[b].end <= s.start {
			b++
		}
		if s.kind == spanBare {
			if s.start == bare[b].start && s.start >= at {
				out, at = append(out, s), s.end
			}
			continue
		}
		if s.start < at || b < len(bare) && bare[b].start < s.end {
			j.lose(LossFacet, "")
			continue
		}
		out, at = append(out, s), s.end
	}
	return out
}
