package translate

import (
	"footbridge/activitypub/as2"
	"strings"
	"unicode"
)

// maxTags bounds what is read of a tag list; no real document comes near.
const maxTags = 2000

// Limits of app.bsky.feed.post#tags and of the tag facet.
const (
	maxTagGraphemes = 64
	maxTagBytes     = 640
	maxOuterTags    = 8
)

// apMention is a Mention of the tag list: whom it names, and how.
type apMention struct {
	href, user, host string
	did              string // set if the person joined
}

// apHashtags are the hashtags of a document, found by their folded names.
type apHashtags struct {
	names []string // as written, without the sign
	fold  map[string]int
	odd   []string // folded names with characters that would end a hashtag in running text
}

// has tells whether a folded name is in the list.
func (h *apHashtags) has(key string) bool {
	_, ok := h.fold[key]
	return ok
}

// add takes a tag up; it gives false for one that is there already or cannot be a tag.
func (h *apHashtags) add(name string) bool {
	key := strings.ToLower(name)
	if _, ok := h.fold[key]; ok {
		return false
	}
	if h.fold == nil {
		h.fold = map[string]int{}
	}
	h.fold[key] = len(h.names)
	h.names = append(h.names, name)
	if len(h.odd) < 32 && strings.IndexFunc(name, notTagRune) >= 0 {
		h.odd = append(h.odd, key)
	}
	return true
}

func notTagRune(r rune) bool {
	return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) && r != '\u200c' && r != '\u200d' && r != '·' && r != '・'
}

func tagFits(name string) bool { return name != "" && fits(name, maxTagGraphemes, maxTagBytes) }

// readTags reads the tag list of an object: mentions, hashtags, emoji, and links that mean a quote (FEP-e232).
func (j *apJob) readTags(o *as2.Value) {
	j.hashtags = &apHashtags{}
	tags := o.Get("tag").List()
	for i := range tags[:min(len(tags), maxTags)] {
		t := &tags[i]
		name := strings.TrimSpace(t.Text("name"))
		switch {
		case !t.IsObject():
		case t.Is("Mention"), t.Type() == "" && strings.HasPrefix(name, "@"):
			j.addMention(t, name)
		case t.Is("Hashtag", "Tag"), t.Type() == "" && strings.HasPrefix(name, "#"):
			j.addHashtag(name)
		case t.Is("Emoji") && name != "":
			j.lose(LossCustomEmoji, name)
		case t.Is("Link") && isQuoteLink(t) && j.quoted == "":
			j.quoted = t.RefOf("href")
		}
	}
}

// isQuoteLink knows the Link tags that mean a quote: an AS2 media type, or Misskey's rel (FEP-e232).
func isQuoteLink(t *as2.Value) bool {
	mt := t.Get("mediaType").Str()
	if strings.HasPrefix(mt, "application/activity+json") {
		return true
	}
	rels := t.Get("rel").List()
	for i := range rels {
		if strings.HasSuffix(rels[i].Str(), "_misskey_quote") {
			return true
		}
	}
	return strings.HasPrefix(mt, "application/ld+json") && strings.Contains(mt, "activitystreams")
}

func (j *apJob) addMention(t *as2.Value, name string) {
	m := apMention{href: t.RefOf("href")}
	user, host, _ := strings.Cut(strings.TrimLeft(name, "@!"), "@")
	m.user, m.host = user, strings.ToLower(host)
	if m.host == "" {
		m.host = hostOf(m.href)
	}
	m.did, _ = j.personByHref(m.href)
	if m.did == "" {
		m.did = j.personByAcct(user, m.host)
	}
	j.mentions = append(j.mentions, m)
}

func (j *apJob) addHashtag(name string) {
	name = strings.TrimSpace(strings.TrimLeft(name, "#＃"))
	if name == "" {
		return
	}
	if !tagFits(name) {
		j.lose(LossTagTooLong, name)
		return
	}
	j.hashtags.add(name)
}

// outerTags are the hashtags that have no facet in the text of the post; at most eight.
func (j *apJob) outerTags(marks []mark) []any {
	inText := map[string]bool{}
	for _, m := range marks {
		if m.kind == markTag {
			inText[strings.ToLower(m.value)] = true
		}
	}
	var out []any
	for _, n := range j.hashtags.names {
		switch {
		case inText[strings.ToLower(n)]:
		case len(out) == maxOuterTags:
			j.lose(LossTagsOverLimit, n)
		default:
			out = append(out, n)
		}
	}
	return out
}

// apPeople finds joined people by what texts and links say of them.
type apPeople struct {
	byURL, byAcct map[string]string // to DID
	native        map[string]string // DID to ap or at
}

func (j *apJob) people() *apPeople {
	if j.index == nil {
		n := len(j.c.Actors)
		p := &apPeople{make(map[string]string, n), make(map[string]string, n), make(map[string]string, n)}
		for _, a := range j.c.Actors {
			setFirst(p.byURL, a.URL, a.DID)
			setFirst(p.byAcct, strings.ToLower(a.Acct), a.DID)
			p.native[a.DID] = a.Native
		}
		j.index = p
	}
	return j.index
}

// setFirst sets a key; where two people claim one, the same wins every time.
func setFirst(m map[string]string, key, did string) {
	if was, ok := m[key]; key != "" && (!ok || did < was) {
		m[key] = did
	}
}

// joinedDID tells whether an account has joined.
func (j *apJob) joinedDID(did string) bool {
	j.want(refDIDs, did)
	_, ok := j.people().native[did]
	return ok && did != ""
}

// personByHref finds whom an address names: by actor id, own id, profile page, or page on bsky.app. The DID is empty
// if they did not join; person tells whether it is certainly somebody's address.
func (j *apJob) personByHref(href string) (did string, person bool) {
	if href == "" {
		return "", false
	}
	j.want(refActors, href)
	if a, ok := j.c.Actors[href]; ok {
		return a.DID, true
	}
	if own, ok := ParseOwnID(j.c.Domain, href); ok && own.Collection == "" {
		return j.ifJoined(own.DID), true
	}
	if did := j.people().byURL[href]; did != "" {
		return did, true
	}
	rest, ok := strings.CutPrefix(href, "https://bsky.app/profile/")
	if !ok {
		rest, ok = strings.CutPrefix(href, "at://")
	}
	if !ok && strings.HasPrefix(href, "did:") {
		rest, ok = href, true
	}
	rest, _, _ = strings.Cut(rest, "?")
	rest = strings.TrimSuffix(rest, "/")
	if !ok || rest == "" || strings.Contains(rest, "/") {
		return "", false
	}
	return j.personByHandle(rest), true
}

// personByHandle finds a joined account by DID or handle.
func (j *apJob) personByHandle(who string) string {
	if strings.HasPrefix(who, "did:") {
		return j.ifJoined(who)
	}
	return j.ifJoined(j.handleDID(who))
}

// handleDID is whose handle a name is, joined or not; "" if it has not the form of a handle or is nobody's.
func (j *apJob) handleDID(name string) string {
	name = strings.ToLower(name)
	if !handleForm(name) {
		return ""
	}
	j.want(refHandles, name)
	return j.c.Handles[name]
}

// handleForm tells whether a name in lower case is a handle by its form (atproto.com/specs/handle).
func handleForm(s string) bool {
	dots := 0
	for i, label := range strings.Split(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
		dots = i
	}
	last := s[strings.LastIndexByte(s, '.')+1:]
	return dots > 0 && len(s) <= 253 && (last[0] < '0' || last[0] > '9')
}

func (j *apJob) ifJoined(did string) string {
	if j.joinedDID(did) {
		return did
	}
	return ""
}

// personByAcct finds a joined account by user@host. The user part of an account of this bridge is an AT handle.
func (j *apJob) personByAcct(user, host string) string {
	if user == "" || host == "" {
		return ""
	}
	acct := strings.ToLower(user + "@" + host)
	j.want(refAccts, acct)
	if did := j.people().byAcct[acct]; did != "" {
		return did
	}
	if host == hostOf(base(j.c.Domain)) {
		return j.personByHandle(user)
	}
	return ""
}

// pageURI is the at-uri of a post's page on bsky.app, with the handle resolved; "" for anything else.
func (j *apJob) pageURI(href string) string {
	rest, ok := strings.CutPrefix(href, "https://bsky.app/profile/")
	if !ok {
		if did, coll, _, ok := SplitURI(href); ok && did != "" && coll != "" {
			return href
		}
		return ""
	}
	who, rest, _ := strings.Cut(rest, "/")
	kind, rkey, _ := strings.Cut(rest, "/")
	rkey, _, _ = strings.Cut(rkey, "?")
	if kind != "post" || rkey == "" {
		return ""
	}
	if !strings.HasPrefix(who, "did:") {
		who = j.handleDID(who)
	}
	uri := "at://" + who + "/" + nsidPost + "/" + rkey
	if _, _, _, ok := SplitURI(uri); !ok {
		return ""
	}
	return uri
}
