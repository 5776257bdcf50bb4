package translate

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

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
	if s.afterWord() || s.pos > 0 && strings.IndexByte("/.", s.in[s.pos-1]) >= 0 {
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
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '.', r == '-':
			return false
		}
		return r < 0x80 || !unicode.IsLetter(r) && !unicode.IsDigit(r)
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
	// The user part of an account of a bridge is a handle of the other side.
	handle := s.j.handleDID(user)
	if did == "" {
		did = s.j.ifJoined(handle)
	}
	if did != "" {
		s.add(whole, markMention, did, false)
		return true
	}
	name := "@" + user
	if handle != "" || host == hostOf(base(s.j.c.Domain)) || strings.HasSuffix(host, ".brid.gy") {
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
		if did == "" && s.j.handleDID(user) != "" {
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
