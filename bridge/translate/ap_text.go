package translate

import (
	"net/url"
	"strings"

	"golang.org/x/net/html"
)

// apLink is a link of the text: as the source writes it, and as the record has it.
type apLink struct{ raw, url string }

// html reads a text of the source with all that is in it: links, mentions, hashtags, bare addresses.
func (j *apJob) html(src string, keepLines bool) rich {
	if strings.TrimSpace(src) == "" {
		return rich{}
	}
	r := htmlReader{resolve: j.resolveAnchor, picture: j.inlinePicture}
	out := r.read(src, keepLines)
	if r.quoteHref != "" && j.quoted == "" {
		j.quoted = r.quoteHref
	}
	j.noteFormat(&r)
	return j.scan(out)
}

func (j *apJob) noteFormat(r *htmlReader) {
	if r.lostFormat {
		j.lose(LossFormatting, "")
	}
	if r.lostTable {
		j.lose(LossTable, "")
	}
	if r.lostImage {
		j.lose(LossInlineImage, "")
	}
	if r.lostEmoji {
		j.lose(LossCustomEmoji, "")
	}
}

// plain reads a text that is not HTML by definition (AS2 name), as servers write it: with entities and now and then tags.
func (j *apJob) plain(s string) rich {
	s = strings.TrimSpace(s)
	if s == "" {
		return rich{}
	}
	if looksLikeTags(s) {
		r := htmlReader{}
		return j.scan(r.read(s, true))
	}
	l := layout{keepLines: true}
	l.chars(html.UnescapeString(s))
	return j.scan(l.finish())
}

// words is the text of HTML or of a name without marks, with nobody's address in it (R34).
func (j *apJob) words(s string) string {
	if s == "" {
		return ""
	}
	return j.scan(rich{text: plainHTML(s)}).text
}

func looksLikeTags(s string) bool {
	for i := 0; i+1 < len(s); i++ {
		if s[i] == '<' && (s[i+1] == '/' || s[i+1]|0x20 >= 'a' && s[i+1]|0x20 <= 'z') && strings.IndexByte(s[i:], '>') > 0 {
			return true
		}
	}
	return false
}

// resolveAnchor says what a link of the source is: a hashtag, a mention or a link.
func (j *apJob) resolveAnchor(a anchor) resolved {
	a.href = resolveURL(a.href, j.base)
	if r, ok := j.tagAnchor(a); ok {
		return r
	}
	if r, ok := j.mentionAnchor(a); ok {
		return r
	}
	u, ok := webURL(a.href)
	if !ok {
		if a.href != "" && !strings.HasPrefix(a.href, "#") {
			j.lose(LossLinkScheme, a.href)
		}
		return resolved{text: a.text}
	}
	j.links = append(j.links, apLink{a.href, u})
	shows := a.shortened || a.text == a.href || a.text == u || strings.HasPrefix(a.text, "http://") || strings.HasPrefix(a.text, "https://")
	return resolved{text: j.linkText(a.text), mark: true, kind: markLink, value: u, shows: shows}
}

// tagAnchor knows hashtags by class, rel=tag or the tag list. The sign may stand before the anchor.
func (j *apJob) tagAnchor(a anchor) (resolved, bool) {
	name, signed := cutSign(a.text)
	before := a.before == '#'
	named := hasClass(a.class, "hashtag") || hasClass(a.rel, "tag")
	key := strings.ToLower(name)
	listed := j.hashtags != nil && j.hashtags.has(key) && (named || namesTag(a.href, key))
	shown := signed || before || listed && named || hasClass(a.class, "hashtag")
	switch {
	case name == "" || strings.ContainsAny(name, " \n"), !shown, !named && !listed:
		return resolved{}, false
	case !tagFits(name):
		j.lose(LossTagTooLong, name)
		return resolved{text: a.text}, true
	}
	return resolved{text: a.text, mark: true, kind: markTag, value: name, takeBefore: before}, true
}

// linkText is the text of a link to something that is nobody's page; a name in it is bare unless its owner joined.
func (j *apJob) linkText(text string) string {
	if !strings.Contains(text, "@") || strings.Contains(text, "://") {
		return text
	}
	return j.scan(rich{text: text}).text
}

// namesTag tells whether an address has the tag in it, as pages of hashtags do.
func namesTag(href, key string) bool {
	if u, err := url.PathUnescape(href); err == nil {
		href = u
	}
	return strings.Contains(strings.ToLower(href), key)
}

// cutSign takes the sign of a hashtag off.
func cutSign(s string) (string, bool) {
	for _, sign := range [...]string{"#", "＃"} {
		if n, ok := strings.CutPrefix(s, sign); ok {
			return strings.TrimSpace(n), true
		}
	}
	return s, false
}

// mentionAnchor knows mentions by class, by the tag list or by whose address the link is. People who joined become a
// mention; of others the bare name stays (R34).
func (j *apJob) mentionAnchor(a anchor) (resolved, bool) {
	sign := strings.HasPrefix(a.text, "@") || strings.HasPrefix(a.text, "!") || a.before == '@'
	class := hasClass(a.class, "mention") && !hasClass(a.class, "hashtag")
	did, person := j.personByHref(a.href)
	tag := j.mentionTag(a, sign)
	if did == "" && tag != nil {
		did = tag.did
	}
	if did == "" && sign && (class || person || profileLike(a.href)) {
		did = j.namedPerson(a.text)
	}
	switch {
	case did != "" && (sign || class || tag != nil):
		return resolved{text: a.text, mark: true, kind: markMention, value: did, takeBefore: a.before == '@'}, true
	case tag != nil || class || sign && (person || profileLike(a.href)):
		name := bareMention(a.text, tag)
		if class && !sign && tag != nil && tag.user != "" {
			name = "@" + tag.user // a server that shows display names
		}
		j.lose(LossMentionNotJoined, name)
		return resolved{text: name}, true
	}
	return resolved{}, false
}

// mentionTag finds the Mention that an anchor shows: by address, else by name and host.
func (j *apJob) mentionTag(a anchor, sign bool) *apMention {
	for i := range j.mentions {
		if j.mentions[i].href == a.href {
			return &j.mentions[i]
		}
	}
	if !sign {
		return j.mentionPage(a.href)
	}
	user, host, _ := strings.Cut(strings.TrimLeft(strings.TrimSpace(a.text), "@!"), "@")
	if host == "" {
		host = hostOf(a.href)
	}
	for i := range j.mentions {
		m := &j.mentions[i]
		if m.user != "" && strings.EqualFold(m.user, user) && (m.host == strings.ToLower(host) || hostOf(m.href) == hostOf(a.href)) {
			return m
		}
	}
	return nil
}

// mentionPage finds the Mention whose person's page an address is: on the same host, ending in the name.
func (j *apJob) mentionPage(href string) *apMention {
	host := hostOf(href)
	if host == "" || len(j.mentions) == 0 || !profileLike(href) {
		return nil
	}
	end := strings.TrimRight(href, "/")
	name := strings.TrimPrefix(end[strings.LastIndexByte(end, '/')+1:], "@")
	for i := range j.mentions {
		if m := &j.mentions[i]; hostOf(m.href) == host && strings.EqualFold(m.user, name) {
			return m
		}
	}
	return nil
}

// namedPerson finds a joined person by a text of @user@host or @handle.
func (j *apJob) namedPerson(text string) string {
	user, host, found := strings.Cut(strings.TrimLeft(strings.TrimSpace(text), "@!"), "@")
	if found {
		return j.personByAcct(user, strings.ToLower(host))
	}
	if strings.Contains(user, ".") {
		return j.personByHandle(user)
	}
	return ""
}

// profileLike tells whether an address has the form of a profile page.
func profileLike(u string) bool {
	_, rest, _ := strings.Cut(u, "://")
	_, path, _ := strings.Cut(rest, "/")
	for _, mark := range [...]string{"@", "users/", "u/", "profile/", "profiles/", "people/", "accounts/", "c/", "m/"} {
		if strings.HasPrefix(path, mark) {
			return true
		}
	}
	return false
}

// bareMention is the name without a domain: the user part of an acct, the first label of an AT handle.
func bareMention(text string, tag *apMention) string {
	t := strings.TrimSpace(text)
	sign := ""
	if strings.HasPrefix(t, "@") || strings.HasPrefix(t, "!") {
		sign, t = t[:1], t[1:]
	}
	user, _, acct := strings.Cut(t, "@")
	switch {
	case strings.Contains(t, "://") && tag != nil && tag.user != "":
		return "@" + tag.user
	case strings.Contains(t, "://"):
		t = strings.TrimRight(t, "/")
		return "@" + t[strings.LastIndexAny(t, "/@")+1:]
	case acct || tag != nil && strings.EqualFold(tag.user, user) && tag.host != "bsky.app":
		return sign + user
	case sign != "":
		return sign + strings.TrimPrefix(bareWord("@"+user), "@")
	}
	return user
}
