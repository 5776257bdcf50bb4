package translate

import (
	"strings"
	"unicode/utf8"
)

// spanKind says how a stretch of text is shown.
type spanKind uint8

const (
	spanLink spanKind = iota
	spanMention
	spanTag
	spanBare // replacement text without a link, for people who did not join
)

// span is a stretch of a text, in bytes, with what it leads to. Spans handed to writeText are in order, do not overlap,
// and begin and end at character borders.
type span struct {
	start, end int
	kind       spanKind
	href       string
	text       string // spanBare: what stands there instead
}

// textWriter writes a plain text as HTML that shows exactly that text: one newline is <br>, two part paragraphs, and
// spaces that a browser would swallow become no-break spaces. The HTML holds nothing but p, br, a and span, so it is
// safe whatever the text is.
type textWriter struct {
	strings.Builder
	gap    bool // a space here would be swallowed: at the start of a line, or after a space
	inLink bool
}

// writeText writes text in paragraphs; an empty text writes nothing.
func (w *textWriter) writeText(text string, spans []span) {
	from := len(text) - len(strings.TrimLeft(text, "\r\n"))
	to := len(strings.TrimRight(text, "\r\n"))
	if from >= to {
		return
	}
	w.WriteString("<p>")
	w.gap = true
	at := from
	for _, s := range spans {
		s.start, s.end = max(s.start, at), min(s.end, to)
		if s.start >= s.end {
			continue
		}
		w.plain(text[at:s.start])
		w.span(s, text[s.start:s.end])
		at = s.end
	}
	w.plain(text[at:to])
	w.WriteString("</p>")
}

// paragraph writes one paragraph around what inner writes.
func (w *textWriter) paragraph(inner func()) {
	w.WriteString("<p>")
	w.gap = true
	inner()
	w.WriteString("</p>")
}

func (w *textWriter) span(s span, text string) {
	switch s.kind {
	case spanBare:
		w.plain(s.text)
	case spanLink:
		w.link(s.href, ` rel="nofollow noopener" target="_blank"`, text, "")
	case spanTag:
		w.link(s.href, ` class="mention hashtag" rel="tag"`, text, "#")
	case spanMention:
		w.WriteString(`<span class="h-card" translate="no">`)
		w.link(s.href, ` class="u-url mention"`, text, "@")
		w.WriteString(`</span>`)
	}
}

// link writes an anchor. A text that starts with the sigil has the rest of it in a span, the form in which Mastodon and
// its kin recognise mentions and hashtags.
func (w *textWriter) link(href, attributes, text, sigil string) {
	w.WriteString(`<a href="`)
	escapeAttribute(&w.Builder, href)
	w.WriteString(`"` + attributes + `>`)
	w.inLink = true
	rest, marked := strings.CutPrefix(text, sigil)
	if marked && sigil != "" && rest != "" {
		w.plain(sigil)
		w.WriteString("<span>")
		w.plain(rest)
		w.WriteString("</span>")
	} else {
		w.plain(text)
	}
	w.inLink = false
	w.WriteString("</a>")
}

// plain writes text with its line breaks.
func (w *textWriter) plain(text string) {
	done := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c > '>' && c != 0x7f { // the common case: a letter, or a byte of a longer character
			w.gap = false
			i++
			continue
		}
		out, n := w.special(text[i:])
		if n == 0 {
			w.gap = false
			i++
			continue
		}
		w.WriteString(text[done:i])
		w.WriteString(out)
		i += n
		done = i
	}
	w.WriteString(text[done:])
}

// special gives what stands for the n bytes at the start of text, or n = 0 if the byte stands for itself.
func (w *textWriter) special(text string) (out string, n int) {
	switch c := text[0]; c {
	case '&':
		out = "&amp;"
	case '<':
		out = "&lt;"
	case '>':
		out = "&gt;"
	case ' ':
		return w.space()
	case '\r', '\n':
		return w.newlines(text)
	case '\t':
		return "", 0
	default:
		if c < ' ' || c == 0x7f {
			return "", 1 // no document or database takes control characters
		}
		return "", 0
	}
	w.gap = false
	return out, 1
}

func (w *textWriter) space() (string, int) {
	if w.gap {
		return "&nbsp;", 1
	}
	w.gap = true
	return " ", 1
}

// newlines turns a run of line breaks of any kind into the fewest elements that keep their number. Inside of a link there
// are no paragraphs.
func (w *textWriter) newlines(text string) (string, int) {
	lines, i := 0, 0
	for i < len(text) && (text[i] == '\n' || text[i] == '\r') {
		if text[i] == '\r' && i+1 < len(text) && text[i+1] == '\n' {
			i++
		}
		i++
		lines++
	}
	w.gap = true
	if lines == 1 {
		return "<br>", i
	}
	if w.inLink {
		return strings.Repeat("<br>", lines), i
	}
	return "</p><p>" + strings.Repeat("<br>", lines-2), i
}

// escapeAttribute writes s as the value of an attribute in double quotes.
func escapeAttribute(b *strings.Builder, s string) {
	done := 0
	for i := range len(s) {
		var out string
		switch s[i] {
		case '&':
			out = "&amp;"
		case '<':
			out = "&lt;"
		case '>':
			out = "&gt;"
		case '"':
			out = "&#34;"
		default:
			continue
		}
		b.WriteString(s[done:i])
		b.WriteString(out)
		done = i + 1
	}
	b.WriteString(s[done:])
}

// hasControls reports whether writeText would leave characters of s out.
func hasControls(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < ' ' && c != '\n' && c != '\r' && c != '\t') || c == 0x7f {
			return true
		}
	}
	return false
}

// isBorder reports whether a character of s begins at byte i, or s ends there.
func isBorder(s string, i int) bool {
	return i >= 0 && (i == len(s) || i < len(s) && utf8.RuneStart(s[i]))
}
