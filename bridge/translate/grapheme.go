package translate

import (
	"strings"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// Limits of app.bsky.feed.post#text, in extended grapheme clusters (UAX 29) and bytes.
const (
	maxPostGraphemes = 300
	maxPostBytes     = 3000
)

// graphemes counts extended grapheme clusters. Text of ASCII without CR has one per byte.
func graphemes(s string) int {
	if plainASCII(s) {
		return len(s)
	}
	return uniseg.GraphemeClusterCount(s)
}

func plainASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf || s[i] == '\r' {
			return false
		}
	}
	return true
}

// fits tells whether s has at most n clusters and m bytes.
func fits(s string, n, m int) bool {
	if len(s) > m {
		return false
	}
	return len(s) <= n || graphemes(s) <= n
}

// prefixLen is the length in bytes of the longest prefix of s with at most n clusters and m bytes.
func prefixLen(s string, n, m int) int {
	if n <= 0 || m <= 0 {
		return 0
	}
	if plainASCII(s) {
		return min(len(s), n, m)
	}
	end, state := 0, -1
	for rest := s; rest != "" && n > 0; n-- {
		var cluster string
		cluster, rest, _, state = uniseg.FirstGraphemeClusterInString(rest, state)
		if end+len(cluster) > m {
			break
		}
		end += len(cluster)
	}
	return end
}

// ellipsis marks where text was cut.
const ellipsis = "…"

// cutAt is where to cut s so that n clusters and m bytes hold it: behind the last white space of the final sixth, else
// anywhere between clusters.
func cutAt(s string, n, m int) int {
	end := prefixLen(s, n, m)
	if end == len(s) {
		return end
	}
	if i := strings.LastIndexAny(s[:end], " \n\t"); i > end-end/6 {
		return i + 1
	}
	return end
}

// cutText cuts a plain text to a limit, with an ellipsis.
func cutText(s string, n, m int) (string, bool) {
	if fits(s, n, m) {
		return s, false
	}
	return strings.TrimRight(s[:cutAt(s, n-1, m-len(ellipsis))], " \n\t") + ellipsis, true
}

// cut cuts r to a limit with an ellipsis. No name is cut in two.
func (r rich) cut(n, m int) (rich, bool) {
	if fits(r.text, n, m) {
		return r, false
	}
	at := cutAt(r.text, n-1, m-len(ellipsis))
	for _, s := range r.marks {
		if s.kind != markLink && s.start < at && at < s.end && s.start > 0 {
			at = s.start
		}
	}
	return appendRich(r.slice(0, at).trimRight(), rich{text: ellipsis}), true
}
