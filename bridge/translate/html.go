package translate

import (
	"bytes"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// maxHTML bounds what is read of a text before it is parsed.
const maxHTML = 512 << 10

// anchor is a link of the source, handed to a resolver when its text is complete.
type anchor struct {
	href, class, rel, title string
	text                    string
	// shortened is set where the server marked parts of the address as not to be shown.
	shortened bool
	// picture is set where the anchor holds a picture that is shown elsewhere.
	picture bool
	// before is the byte right before the anchor; the sign of a name or tag may stand there.
	before byte
}

// resolved is what becomes of an anchor: its text (usually the same) and, if mark is set, a facet over it.
type resolved struct {
	text  string
	mark  bool
	kind  markKind
	value string
	shows bool
	// takeBefore widens the facet over the byte before the anchor.
	takeBefore bool
}

// htmlReader turns HTML into text with marks in one pass over the tokens, without a tree: nesting costs nothing, and
// tags that are never closed or closed in the wrong order do no harm.
type htmlReader struct {
	layout
	// resolve decides about links; nil means that they are text.
	resolve func(anchor) resolved
	// picture is asked about an image in the text; it says whether it is shown elsewhere, so that its alternative text
	// need not stand in the text.
	picture func(src, alt string) bool
	// quoteHref is the address in a quote-inline element, which is never shown.
	quoteHref string
	// seen
	lostFormat, lostImage, lostEmoji bool

	skip      atom.Atom // element whose content is not shown
	skipDepth int
	skipQuote bool
	open      *anchor
	start     int // where the open anchor's text starts, -1 before its first character
	spans     []spanClass
	ruby      bool
	// mute is set within a formula until its source begins (FEP-dc88).
	mute bool
}

// spanClass is what a span (or other inline element with a class) does to the text of an address.
type spanClass uint8

const (
	spanPlain spanClass = iota
	spanInvisible
	spanEllipsis
)

// read reads a fragment. keepLines keeps the line breaks of the source, for texts that are not really HTML.
func (r *htmlReader) read(src string, keepLines bool) rich {
	if len(src) > maxHTML {
		src = strings.ToValidUTF8(src[:maxHTML], "")
	}
	r.keepLines = keepLines
	if strings.IndexByte(src, '<') < 0 {
		// Without a single tag it is a text that somebody's software forgot to mark up; its lines are meant.
		r.keepLines = true
		if strings.IndexByte(src, '&') >= 0 {
			src = html.UnescapeString(src)
		}
		r.chars(src)
		return r.finish()
	}
	z := html.NewTokenizer(strings.NewReader(src))
	for {
		switch z.Next() {
		case html.ErrorToken:
			r.closeAnchor()
			return r.finish()
		case html.TextToken:
			r.text(z.Text())
		case html.StartTagToken:
			r.startTag(z, false)
		case html.SelfClosingTagToken:
			r.startTag(z, true)
		case html.EndTagToken:
			name, _ := z.TagName()
			if string(name) == "semantics" {
				r.mute = false
			}
			r.endTag(atom.Lookup(name))
		}
	}
}

func (r *htmlReader) text(b []byte) {
	if r.skip != 0 || r.mute || r.invisible() {
		return
	}
	if r.open != nil && r.start < 0 && len(bytes.TrimSpace(b)) > 0 {
		r.flushFor(b)
		r.start = len(r.buf)
		if r.start > 0 {
			r.open.before = r.buf[r.start-1]
		}
		b = bytes.TrimLeft(b, " \t\r\n")
	}
	r.chars(string(b))
}

func (r *htmlReader) invisible() bool {
	if r.open == nil {
		return false
	}
	for _, s := range r.spans {
		if s == spanInvisible {
			return true
		}
	}
	return false
}

// attrs are the attributes that matter.
type attrs struct {
	class, href, rel, title, src, alt, start, value, encoding string
	reversed                                                  bool
}

func readAttrs(z *html.Tokenizer) attrs {
	var a attrs
	for range 64 {
		k, v, more := z.TagAttr()
		switch string(k) {
		case "class":
			a.class = string(v)
		case "href":
			a.href = string(v)
		case "rel":
			a.rel = string(v)
		case "title":
			a.title = string(v)
		case "src":
			a.src = string(v)
		case "alt":
			a.alt = string(v)
		case "start":
			a.start = string(v)
		case "value":
			a.value = string(v)
		case "encoding":
			a.encoding = string(v)
		case "reversed":
			a.reversed = true
		}
		if !more {
			break
		}
	}
	return a
}

// hidden are elements whose content is not text of the author, or has no text form.
func hidden(a atom.Atom) bool {
	switch a {
	case atom.Script, atom.Style, atom.Head, atom.Title, atom.Template, atom.Noscript, atom.Iframe, atom.Object, atom.Svg,
		atom.Select, atom.Textarea, atom.Video, atom.Audio, atom.Canvas, atom.Noembed, atom.Noframes, atom.Datalist, atom.Button,
		atom.Map:
		return true
	}
	return false
}

func (r *htmlReader) startTag(z *html.Tokenizer, closed bool) {
	name, has := z.TagName()
	a := atom.Lookup(name)
	if r.skip != 0 {
		if a == r.skip && !closed {
			r.skipDepth++
		}
		if r.skipQuote && a == atom.A && has && r.quoteHref == "" {
			r.quoteHref = readAttrs(z).href
		}
		return
	}
	if hidden(a) {
		if !closed || rawText(a) {
			r.skip, r.skipDepth = a, 1
		}
		return
	}
	var at attrs
	if has {
		at = readAttrs(z)
	}
	if at.class != "" && (a == atom.P || a == atom.Span || a == atom.Div) && quoteClass(at.class) {
		r.skip, r.skipDepth, r.skipQuote = a, 1, true
		return
	}
	r.element(a, at, string(name), closed)
}

// quoteClass knows the classes of the text that stands for a quote where quotes are not known: Mastodon and Pleroma,
// Mitra, Fedibird.
func quoteClass(class string) bool {
	return hasClass(class, "quote-inline") || hasClass(class, "inline-quote") || hasClass(class, "reference-link-inline")
}

// rawText elements swallow what follows even if written as self-closing.
func rawText(a atom.Atom) bool {
	switch a {
	case atom.Script, atom.Style, atom.Title, atom.Iframe, atom.Noscript, atom.Textarea, atom.Noembed, atom.Noframes:
		return true
	}
	return false
}

func (r *htmlReader) element(a atom.Atom, at attrs, name string, closed bool) {
	switch a {
	case atom.A:
		r.closeAnchor()
		if at.href != "" && !closed {
			r.open, r.start = &anchor{href: at.href, class: at.class, rel: at.rel, title: at.title}, -1
		}
	case atom.Span:
		r.span(at, closed)
	case atom.Img:
		r.image(at)
	case atom.Br:
		r.breakLine()
	case atom.Rt:
		if r.ruby {
			r.chars("(")
		}
	case atom.Rp:
		// Its text is the bracket itself.
		r.ruby = false
	case atom.Ruby:
		r.ruby = true
	case atom.Q:
		r.chars("“")
	case atom.B, atom.Strong, atom.I, atom.Em, atom.U, atom.S, atom.Del, atom.Mark, atom.Font, atom.Code:
		r.lostFormat = true
	case atom.Annotation:
		r.mute = at.encoding != "" && at.encoding != "application/x-tex"
	default:
		if name == "semantics" && !closed {
			r.mute = true
		}
		r.startBlock(a, at)
	}
}

func (r *htmlReader) span(at attrs, closed bool) {
	if closed || len(r.spans) > 256 {
		return
	}
	c := spanPlain
	switch {
	case r.open == nil || at.class == "":
	case hasClass(at.class, "invisible"):
		c = spanInvisible
		r.open.shortened = true
	case hasClass(at.class, "ellipsis"):
		c = spanEllipsis
	}
	r.spans = append(r.spans, c)
}

func (r *htmlReader) endSpan() {
	if len(r.spans) == 0 {
		return
	}
	last := r.spans[len(r.spans)-1]
	r.spans = r.spans[:len(r.spans)-1]
	if last == spanEllipsis && r.open != nil && r.start >= 0 {
		r.chars(ellipsis)
	}
}

// image writes the alternative text of a picture; of a server's own emoji that is the shortcode.
func (r *htmlReader) image(at attrs) {
	alt := strings.TrimSpace(at.alt)
	if alt == "" {
		alt = strings.TrimSpace(at.title)
	}
	if strings.HasPrefix(alt, ":") && strings.HasSuffix(alt, ":") && len(alt) > 2 {
		r.lostEmoji = true
		r.inline(alt)
		return
	}
	if hasClass(at.class, "emoji") || hasClass(at.class, "emojione") || hasClass(at.class, "custom-emoji") {
		r.inline(alt)
		return
	}
	if r.picture != nil && r.picture(at.src, at.alt) {
		if r.open != nil {
			r.open.picture = true
		}
		return
	}
	r.lostImage = true
	r.inline(alt)
}

func (r *htmlReader) inline(s string) { r.text([]byte(s)) }

func (r *htmlReader) endTag(a atom.Atom) {
	if r.skip != 0 {
		if a == r.skip {
			if r.skipDepth--; r.skipDepth == 0 {
				r.skip, r.skipQuote = 0, false
				r.endBlock(a)
			}
		}
		return
	}
	switch a {
	case atom.A:
		r.closeAnchor()
	case atom.Span:
		r.endSpan()
	case atom.Rt:
		if r.ruby {
			r.chars(")")
		}
	case atom.Rp:
		r.ruby = false
	case atom.Ruby:
		r.ruby = false
	case atom.Annotation:
		r.mute = true
	case atom.Q:
		r.chars("”")
	default:
		r.endBlock(a)
	}
}

// closeAnchor asks what the link that ends here is, and writes that.
func (r *htmlReader) closeAnchor() {
	a := r.open
	if a == nil {
		return
	}
	r.open = nil
	for i := range r.spans {
		r.spans[i] = spanPlain
	}
	if r.start < 0 {
		r.emptyAnchor(a)
		return
	}
	a.text = string(r.buf[r.start:])
	if r.resolve == nil || strings.TrimSpace(a.text) == "" {
		return
	}
	res := r.resolve(*a)
	start := r.start
	if res.text != a.text {
		r.buf = append(r.buf[:start], res.text...)
	}
	if res.takeBefore && start > 0 {
		start--
	}
	if res.mark && len(r.buf) > start {
		r.marks = append(r.marks, mark{start, len(r.buf), res.kind, res.value, res.shows})
	}
}

// emptyAnchor shows the address of a link that has no text, such as one around a picture that is lost.
func (r *htmlReader) emptyAnchor(a *anchor) {
	if r.resolve == nil {
		return
	}
	u, ok := webURL(a.href)
	if !ok || a.picture {
		return
	}
	a.text = shortURL(u)
	res := r.resolve(*a)
	r.flushFor([]byte(res.text))
	start := len(r.buf)
	r.buf = append(r.buf, res.text...)
	if res.mark {
		r.marks = append(r.marks, mark{start, len(r.buf), res.kind, res.value, res.shows})
	}
}

func hasClass(class, name string) bool {
	for class != "" {
		var w string
		w, class, _ = strings.Cut(class, " ")
		if w == name {
			return true
		}
	}
	return false
}
