package translate

import (
	"strings"
	"unicode"
	"unicode/utf8"

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
	return resolved{text: a.text, mark: true, kind: markLink, value: u, shows: shows}
}

// tagAnchor knows hashtags by class, rel=tag or the tag list. The sign may stand before the anchor.
func (j *apJob) tagAnchor(a anchor) (resolved, bool) {
	name, signed := cutSign(a.text)
	before := a.before == '#'
	named := hasClass(a.class, "hashtag") || hasClass(a.rel, "tag")
	key := strings.ToLower(name)
	_, listed := 0, false
	if j.hashtags != nil {
		_, listed = j.hashtags.fold[key]
	}
	switch {
	case name == "" || strings.ContainsAny(name, " \n"):
		return resolved{}, false
	case !(signed || before) && !(listed && named) && !hasClass(a.class, "hashtag"):
		return resolved{}, false
	case !named && !listed:
		return resolved{}, false
	case !tagFits(name):
		j.lose(LossTagTooLong, name)
		return resolved{text: a.text}, true
	}
	return resolved{text: a.text, mark: true, kind: markTag, value: name, takeBefore: before}, true
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
	if did == "" && sign {
		did = j.namedPerson(a.text)
	}
	switch {
	case did != "" && (sign || class || tag != nil):
		return resolved{text: a.text, mark: true, kind: markMention, value: did, takeBefore: a.before == '@'}, true
	case tag != nil || class || sign && (person || j.knownHandle(a.text) || profileLike(a.href)):
		name := bareMention(a.text, tag)
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
		return nil
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

// knownHandle tells whether a text is @ and a handle that exists.
func (j *apJob) knownHandle(text string) bool {
	return j.handleDID(strings.TrimPrefix(text, "@")) != ""
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

// scan finds what is written without markup: addresses, @names, #tags. Text that is marked already is left alone.
func (j *apJob) scan(r rich) rich {
	s := textScan{j: j, in: r.text, marks: make([]mark, 0, len(r.marks)+4), buf: make([]byte, 0, len(r.text)+16)}
	next := 0
	for s.pos < len(s.in) {
		s.limit = len(s.in)
		if next < len(r.marks) {
			if m := r.marks[next]; s.pos >= m.start {
				s.keep(m)
				next++
				continue
			}
			s.limit = r.marks[next].start
		}
		s.step()
	}
	return rich{string(s.buf), s.marks}
}

type textScan struct {
	j          *apJob
	in         string
	pos, limit int
	buf        []byte
	marks      []mark
}

// keep copies a stretch that has a mark.
func (s *textScan) keep(m mark) {
	t := s.in[m.start:m.end]
	m.start = len(s.buf)
	s.buf = append(s.buf, t...)
	s.pos += len(t)
	m.end = len(s.buf)
	s.marks = append(s.marks, m)
}

func (s *textScan) add(text string, kind markKind, value string, shows bool) {
	s.marks = append(s.marks, mark{len(s.buf), len(s.buf) + len(text), kind, value, shows})
	s.buf = append(s.buf, text...)
}

// step handles what stands at pos.
func (s *textScan) step() {
	switch c := s.in[s.pos]; {
	case (c == 'h' || c == 'H') && s.address():
	case c == '@' && s.name():
	case c == '#' && s.tag(1):
	case c == 0xef && strings.HasPrefix(s.in[s.pos:], "＃") && s.tag(len("＃")):
	default:
		s.buf = append(s.buf, c)
		s.pos++
	}
}

// afterWord tells whether a letter or digit stands right before pos.
func (s *textScan) afterWord() bool {
	r, _ := utf8.DecodeLastRuneInString(s.in[:s.pos])
	return s.pos > 0 && (unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_')
}

// address links a bare address, without the punctuation behind it.
func (s *textScan) address() bool {
	rest := s.in[s.pos:s.limit]
	if !hasFold(rest, "https://") && !hasFold(rest, "http://") || s.afterWord() {
		return false
	}
	run := addressRun(rest)
	if run > maxURL {
		// No address is so long; it is copied at once, so that what is in it costs nothing more.
		s.buf = append(s.buf, rest[:run]...)
		s.pos += run
		return true
	}
	t := rest[:addressEnd(rest[:run])]
	u, ok := webURL(t)
	if !ok || !strings.Contains(hostOf(u), ".") {
		return false
	}
	s.j.links = append(s.j.links, apLink{t, u})
	s.add(t, markLink, u, true)
	s.pos += len(t)
	return true
}

// addressRun is how far a bare address reaches at most.
func addressRun(s string) int {
	for i, r := range s {
		if r < 0x80 && r > ' ' && r != '<' && r != '>' && r != '"' && r != '`' && r != 0x7f {
			continue
		}
		if r < 0x80 || unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune("“”„«»「」『』【】（）［］、。，！？；：…", r) {
			return i
		}
	}
	return len(s)
}

// addressEnd is where the address of a run ends: before punctuation that belongs to the sentence.
func addressEnd(s string) int {
	end := len(s)
	for end > 0 {
		switch c := s[end-1]; c {
		case '.', ',', ';', ':', '!', '?', '\'', '*', '_', '~', '|':
			end--
			continue
		case ')', ']', '}':
			open := map[byte]string{')': "(", ']': "[", '}': "{"}[c]
			if strings.Count(s[:end], open) < strings.Count(s[:end], string(c)) {
				end--
				continue
			}
		}
		return end
	}
	return end
}

// name handles @user@host, @handle and @user.
func (s *textScan) name() bool {
	if s.afterWord() || s.pos > 0 && strings.IndexByte("/@.", s.in[s.pos-1]) >= 0 {
		return false
	}
	rest := s.in[s.pos+1 : s.limit]
	user := rest[:nameEnd(rest)]
	if user == "" {
		return false
	}
	if after := rest[len(user):]; strings.HasPrefix(after, "@") {
		host := after[1:]
		if host = host[:nameEnd(host)]; strings.Contains(host, ".") {
			return s.acct(user, host)
		}
	}
	return s.handle(user)
}

// nameEnd is where a user or host name ends: letters, digits and _ . - within.
func nameEnd(s string) int {
	end := strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '.' || r == '-' || r >= 0x80 && (unicode.IsLetter(r) || unicode.IsDigit(r)))
	})
	if end < 0 {
		end = len(s)
	}
	return len(strings.TrimRight(s[:end], ".-"))
}

func (s *textScan) acct(user, host string) bool {
	whole := "@" + user + "@" + host
	s.pos += len(whole)
	did := s.j.personByAcct(user, strings.ToLower(host))
	for i := range s.j.mentions {
		if m := &s.j.mentions[i]; did == "" && strings.EqualFold(m.user, user) && strings.EqualFold(m.host, host) {
			did = m.did
		}
	}
	if did != "" {
		s.add(whole, markMention, did, false)
		return true
	}
	name := "@" + user
	if host == hostOf(base(s.j.c.Domain)) {
		name = bareWord(name)
	}
	s.j.lose(LossMentionNotJoined, name)
	s.buf = append(s.buf, name...)
	return true
}

// handle knows an AT handle, or the one Mention of that name.
func (s *textScan) handle(user string) bool {
	did := ""
	if strings.Contains(user, ".") {
		did = s.j.personByHandle(user)
		if did == "" && s.j.knownHandle(user) {
			name := bareWord("@" + user)
			s.j.lose(LossMentionNotJoined, name)
			s.buf = append(s.buf, name...)
			s.pos += 1 + len(user)
			return true
		}
	}
	if did == "" {
		did = s.j.onlyMention(user)
	}
	if did == "" {
		return false
	}
	s.add("@"+user, markMention, did, false)
	s.pos += 1 + len(user)
	return true
}

// onlyMention is the DID of the joined person whom the tag list names user, if it names only one so.
func (j *apJob) onlyMention(user string) string {
	did, n := "", 0
	for i := range j.mentions {
		if strings.EqualFold(j.mentions[i].user, user) {
			did = j.mentions[i].did
			n++
		}
	}
	if n != 1 {
		return ""
	}
	return did
}

// tag marks a hashtag of the tag list; what is not in the list is not one to the author's server either.
func (s *textScan) tag(sign int) bool {
	h := s.j.hashtags
	if h == nil || len(h.names) == 0 || s.afterWord() || s.pos > 0 && strings.IndexByte("&/#", s.in[s.pos-1]) >= 0 {
		return false
	}
	rest := s.in[s.pos+sign : s.limit]
	end := strings.IndexFunc(rest, notTagRune)
	if end < 0 {
		end = len(rest)
	}
	word := rest[:end]
	for _, odd := range h.odd {
		if hasFold(rest, odd) && len(odd) > len(word) {
			word = rest[:len(odd)]
		}
	}
	if _, ok := h.fold[strings.ToLower(word)]; !ok || word == "" {
		return false
	}
	s.add(s.in[s.pos:s.pos+sign]+word, markTag, word, false)
	s.pos += sign + len(word)
	return true
}
