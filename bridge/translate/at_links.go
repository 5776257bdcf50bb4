package translate

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// webLink makes an address that can stand in href. at-uris lead to the page of the record.
func (j *atJob) webLink(uri string) (string, bool) {
	if strings.HasPrefix(uri, "at://") {
		if u := WebURL(uri); u != "" {
			return u, true
		}
		did := strings.TrimSuffix(strings.TrimPrefix(uri, "at://"), "/")
		return "https://bsky.app/profile/" + did, isDID(did)
	}
	return safeURL(uri)
}

// linkSchemes are those that fediverse servers keep in posts and that run no script.
var linkSchemes = []string{"http", "https", "mailto", "gemini", "gopher", "magnet", "xmpp", "ipfs", "ipns", "dat", "dweb", "ssb"}

// safeURL checks that s is an absolute URL of a scheme that may be opened from a post. The URL stays byte for byte what
// it was (quotes and brackets are escaped where it is written), but for spaces, which an href cannot hold.
func safeURL(s string) (string, bool) {
	s = strings.Trim(s, " ")
	if len(s) > 8192 || hasControls(s) || strings.ContainsAny(s, "\r\n\t") {
		return "", false
	}
	scheme, rest, found := strings.Cut(s, ":")
	scheme = strings.ToLower(scheme)
	if !found || !slices.Contains(linkSchemes, scheme) {
		return "", false
	}
	if strings.HasPrefix(scheme, "http") {
		host, ok := strings.CutPrefix(rest, "//")
		if i := strings.IndexAny(host, "/?#"); i >= 0 {
			host = host[:i]
		}
		if !ok || host == "" || strings.Contains(host, " ") {
			return "", false
		}
	}
	return strings.ReplaceAll(s, " ", "%20"), rest != ""
}

// isForeignPost reports whether a URL is the page of a post of somebody who did not join.
func (j *atJob) isForeignPost(href string) bool {
	rest, ok := strings.CutPrefix(href, "https://bsky.app/profile/")
	if !ok {
		return false
	}
	who, rest, _ := strings.Cut(rest, "/")
	if !strings.HasPrefix(rest, "post/") {
		return false
	}
	return !j.joined(who)
}

// joined tells of a DID or handle whether it belongs to somebody who joined.
func (j *atJob) joined(who string) bool {
	if !strings.HasPrefix(who, "did:") {
		who = j.c.Handles[strings.ToLower(who)]
	}
	_, _, ok := j.actor(who)
	return ok
}

// typedHandles finds handles typed as @name.domain, without a facet, of people known not to have joined; they too leave as
// bare names (R34).
func (j *atJob) typedHandles(text string) []span {
	if len(j.c.Handles) == 0 {
		return nil
	}
	var out []span
	eachHandle(text, func(at int, handle string) {
		did, known := j.c.Handles[strings.ToLower(handle)]
		if !known || j.joinedDID(did) {
			return
		}
		name, _, _ := strings.Cut(handle, ".")
		j.lose(LossMentionNotJoined, "@"+name)
		out = append(out, span{start: at, end: at + 1 + len(handle), kind: spanBare, text: "@" + name})
	})
	return out
}

// eachHandle finds what is typed as @name.domain.
func eachHandle(text string, found func(at int, handle string)) {
	for at := strings.IndexByte(text, '@'); at >= 0; {
		if handle := handleAt(text, at); handle != "" {
			found(at, handle)
		}
		next := strings.IndexByte(text[at+1:], '@')
		if next < 0 {
			return
		}
		at += 1 + next
	}
}

func (j *atJob) joinedDID(did string) bool {
	_, _, ok := j.actor(did)
	return ok
}

// handleAt reads a handle that is typed after the @ at byte i, empty if there is none or the @ is inside a word.
func handleAt(text string, i int) string {
	if i+1 == len(text) || !isSegment(text[i+1:i+2]) {
		return ""
	}
	if before, _ := utf8.DecodeLastRuneInString(text[:i]); i > 0 && (unicode.IsLetter(before) || unicode.IsDigit(before) || before == '/') {
		return ""
	}
	end := i + 1
	for end < len(text) && end < i+254 && (isSegment(text[end:end+1], '-') || text[end] == '.' && end+1 < len(text) && isSegment(text[end+1:end+2])) {
		end++
	}
	handle := text[i+1 : end]
	if !strings.Contains(handle, ".") {
		return ""
	}
	return handle
}

// typedLinks finds http and https addresses in a text without facets. Pages of people who did not join stay text (R40).
func (j *atJob) typedLinks(text string) []span {
	var out []span
	for at := 0; ; {
		i := strings.Index(text[at:], "http")
		if i < 0 {
			return out
		}
		start := at + i
		end := start + addressLength(text[start:])
		href, ok := safeURL(text[start:end])
		if ok && (strings.HasPrefix(href, "http://") || strings.HasPrefix(href, "https://")) && !j.isForeignPage(href) {
			out = append(out, span{start: start, end: end, kind: spanLink, href: href})
		}
		at = max(end, start+4)
	}
}

// addressLength is the length of the address that text starts with, without the punctuation of the sentence around it.
func addressLength(text string) int {
	end := strings.IndexFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune("<>\"`\\", r)
	})
	if end < 0 {
		end = len(text)
	}
	round := strings.Count(text[:end], ")") - strings.Count(text[:end], "(")
	square := strings.Count(text[:end], "]") - strings.Count(text[:end], "[")
	for end > 0 {
		switch last := text[end-1]; {
		case strings.IndexByte(".,;:!?'*", last) >= 0:
		case last == ')' && round > 0:
			round--
		case last == ']' && square > 0:
			square--
		default:
			return end
		}
		end--
	}
	return end
}

func (j *atJob) isForeignPage(href string) bool {
	rest, ok := strings.CutPrefix(href, "https://bsky.app/profile/")
	who, _, _ := strings.Cut(rest, "/")
	return ok && !j.joined(who)
}

// typedMentions finds the handles of people who joined, typed as @name.domain.
func (j *atJob) typedMentions(text string) []span {
	var out []span
	eachHandle(text, func(at int, handle string) {
		did, known := j.c.Handles[strings.ToLower(handle)]
		if id, a, ok := j.actor(did); known && ok {
			out = append(out, span{start: at, end: at + 1 + len(handle), kind: spanMention, href: pageOf(id, a)})
		}
	})
	return out
}
