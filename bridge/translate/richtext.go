package translate

import (
	"strings"
	"unicode/utf8"
)

// markKind says what a stretch of text is.
type markKind uint8

const (
	markLink markKind = iota
	markMention
	markTag
)

// mark is a facet in the making: byte offsets into the text, and a URL, a DID or a tag without its sign.
type mark struct {
	start, end int
	kind       markKind
	value      string
	// shows is set where the text of a link is its own address, so that it may be shortened.
	shows bool
}

// rich is text with marks in order, not overlapping, on the borders of characters.
type rich struct {
	text  string
	marks []mark
}

// appendRich puts b behind a.
func appendRich(a, b rich) rich {
	shift := len(a.text)
	out := rich{text: a.text + b.text, marks: make([]mark, 0, len(a.marks)+len(b.marks))}
	out.marks = append(out.marks, a.marks...)
	for _, s := range b.marks {
		s.start, s.end = s.start+shift, s.end+shift
		out.marks = append(out.marks, s)
	}
	return out
}

// joinRich joins what is not empty with a separator.
func joinRich(sep string, parts ...rich) rich {
	out := rich{}
	for _, p := range parts {
		switch {
		case p.text == "":
		case out.text == "":
			out = p
		default:
			out = appendRich(appendRich(out, rich{text: sep}), p)
		}
	}
	return out
}

// linkRich is a text that is one link.
func linkRich(text, url string) rich {
	if u, ok := webURL(url); ok {
		return rich{text, []mark{{0, len(text), markLink, u, false}}}
	}
	return rich{text: text}
}

// slice is the part of r between two byte offsets; marks that cross its borders are trimmed if they are links and left
// out if they are names, since half a name names nobody.
func (r rich) slice(from, to int) rich {
	out := rich{text: r.text[from:to]}
	for _, s := range r.marks {
		if s.end <= from || s.start >= to {
			continue
		}
		whole := s.start >= from && s.end <= to
		if !whole && s.kind != markLink {
			continue
		}
		s.start, s.end = max(s.start, from)-from, min(s.end, to)-from
		if t := out.text[s.start:s.end]; strings.TrimSpace(t) != "" {
			s.end = s.start + len(strings.TrimRight(t, " \n\t"))
			out.marks = append(out.marks, s)
		}
	}
	return out
}

// trimRight cuts white space at the end.
func (r rich) trimRight() rich {
	return r.slice(0, len(strings.TrimRight(r.text, " \n\t\u00a0")))
}

// trim cuts white space at both ends, but not the indent of the first line.
func (r rich) trim() rich {
	lead := len(r.text) - len(strings.TrimLeft(r.text, "\n"))
	if strings.TrimSpace(r.text[lead:]) == "" {
		return rich{}
	}
	return r.slice(lead, len(r.text)).trimRight()
}

// facets are the marks as app.bsky.richtext.facet; byte offsets into UTF-8, as the lexicon wants.
func (r rich) facets() []any {
	if len(r.marks) == 0 {
		return nil
	}
	out := make([]any, 0, len(r.marks))
	for _, s := range r.marks {
		if s.start >= s.end || s.end > len(r.text) || !onBorder(r.text, s.start) || !onBorder(r.text, s.end) {
			continue
		}
		out = append(out, map[string]any{
			"$type":    "app.bsky.richtext.facet",
			"index":    map[string]any{"byteStart": int64(s.start), "byteEnd": int64(s.end)},
			"features": []any{s.feature()},
		})
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

func (s mark) feature() map[string]any {
	switch s.kind {
	case markMention:
		return map[string]any{"$type": "app.bsky.richtext.facet#mention", "did": s.value}
	case markTag:
		return map[string]any{"$type": "app.bsky.richtext.facet#tag", "tag": s.value}
	}
	return map[string]any{"$type": "app.bsky.richtext.facet#link", "uri": s.value}
}

func onBorder(s string, i int) bool { return i == len(s) || utf8.RuneStart(s[i]) }

// shortenLinks rewrites the text of links that show their own address: host and the start of the path, as people on
// both networks know it. The target stays whole.
func (r rich) shortenLinks() rich {
	var b strings.Builder
	out := rich{marks: make([]mark, 0, len(r.marks))}
	pos := 0
	for _, s := range r.marks {
		b.WriteString(r.text[pos:s.start])
		t := r.text[s.start:s.end]
		if s.kind == markLink && s.shows {
			if short := shortURL(s.value); len(short) < len(t) {
				t, s.shows = short, false
			}
		}
		pos, s.start = s.end, b.Len()
		b.WriteString(t)
		s.end = b.Len()
		out.marks = append(out.marks, s)
	}
	b.WriteString(r.text[pos:])
	out.text = b.String()
	return out
}

// shortURL is how an address is shown where room is short: no scheme, no www, at most 15 characters of path.
func shortURL(u string) string {
	s := strings.TrimPrefix(strings.TrimPrefix(u, "https://"), "http://")
	s = strings.TrimPrefix(s, "www.")
	host, path, _ := strings.Cut(s, "/")
	if path == "" {
		return host
	}
	if len(path) > 15 {
		cut := 14
		for cut > 0 && !utf8.RuneStart(path[cut]) {
			cut--
		}
		path = path[:cut] + "…"
	}
	return host + "/" + path
}
