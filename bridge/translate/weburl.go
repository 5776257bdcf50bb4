package translate

import (
	"net/url"
	"strings"

	"golang.org/x/net/idna"
)

// maxURL bounds addresses; longer ones are no links.
const maxURL = 2048

// webURL makes an address fit for the lexicon's uri format: http or https in lower case, a host, and only printable
// ASCII. Other letters are percent-encoded in the path and punycoded in the host. What is no web address gives false:
// nothing else may be opened from a post.
func webURL(s string) (string, bool) {
	s = strings.TrimSpace(s)
	var n int
	switch {
	case len(s) > maxURL:
		return "", false
	case hasFold(s, "https://"):
		n = 8
	case hasFold(s, "http://"):
		n = 7
	default:
		return "", false
	}
	rest := s[n:]
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	host, ok := asciiHost(rest[:end])
	if !ok {
		return "", false
	}
	return strings.ToLower(s[:n]) + host + asciiPath(rest[end:]), true
}

func hasFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// asciiHost checks host[:port]; user names in addresses mislead people, so those are refused.
func asciiHost(h string) (string, bool) {
	if h == "" || strings.ContainsAny(h, "@\\ \t\r\n\"<>`{}|^") {
		return "", false
	}
	if isASCII(h) {
		return h, h[0] > ' '
	}
	name, port, _ := strings.Cut(h, ":")
	name, err := idna.Lookup.ToASCII(name)
	if err != nil || name == "" {
		return "", false
	}
	if port != "" {
		name += ":" + port
	}
	return name, true
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// asciiPath percent-encodes what a URI may not hold as it is, and leaves escapes alone.
func asciiPath(s string) string {
	clean := true
	for i := 0; i < len(s) && clean; i++ {
		clean = s[i] > ' ' && s[i] < 0x7f
	}
	if clean {
		return s
	}
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\n' || c == '\r' || c == '\t':
		case c <= ' ' || c >= 0x7f:
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// resolveURL reads an href against the address of its document.
func resolveURL(href, base string) string {
	href = strings.TrimSpace(href)
	if bareDomain(href) {
		return "https://" + href
	}
	if !strings.HasPrefix(href, "/") || base == "" {
		return href
	}
	b, err := url.Parse(base)
	if err != nil || b.Host == "" {
		return href
	}
	if strings.HasPrefix(href, "//") {
		return b.Scheme + ":" + href
	}
	return b.Scheme + "://" + b.Host + href
}

// bareDomain tells whether an href is a domain that somebody forgot the scheme of. As a relative address it would lead
// nowhere; the names of files are told apart by their endings.
func bareDomain(s string) bool {
	host, _, _ := strings.Cut(s, "/")
	if len(host) > 253 || !handleForm(strings.ToLower(host)) {
		return false
	}
	switch strings.ToLower(host[strings.LastIndexByte(host, '.')+1:]) {
	case "html", "htm", "php", "asp", "aspx", "jsp", "cgi", "xml", "json", "txt", "pdf", "png", "jpg", "jpeg", "gif", "webp", "svg", "mp3", "mp4", "css", "js":
		return false
	}
	return true
}

// hostOf is the host of an address, in lower case, "" if it has none.
func hostOf(u string) string {
	_, rest, ok := strings.Cut(u, "://")
	if !ok {
		return ""
	}
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest = rest[:i]
	}
	return strings.ToLower(rest)
}

// looksLikePost tells whether an address is that of somebody's post, profile or activity on a known kind of server.
// No card is made for such links: they would show the words or the face of somebody who was not asked (R41).
func looksLikePost(u string) bool {
	_, rest, ok := strings.Cut(u, "://")
	if !ok {
		return false
	}
	host, path, _ := strings.Cut(rest, "/")
	if host == "bsky.app" || strings.HasSuffix(host, ".brid.gy") {
		return true
	}
	for _, mark := range [...]string{"@", "users/", "notes/", "notice/", "objects/", "statuses/", "u/", "profile/", "comment/", "activities/"} {
		if strings.HasPrefix(path, mark) {
			return true
		}
	}
	return strings.Contains(path, "/statuses/") || strings.HasPrefix(path, "p/") && strings.Count(path, "/") == 2
}
