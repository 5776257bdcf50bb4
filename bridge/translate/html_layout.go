package translate

import (
	"bytes"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html/atom"
)

// layout is the line-making half of the HTML reader: what blocks, lists, quotes and white space become in plain text.
type layout struct {
	buf   []byte
	marks []mark
	// keepLines treats the source's line breaks as meant.
	keepLines bool

	block, breaks int  // line breaks that wait for the next character: from blocks and from <br>
	space         bool // a space that waits
	quotes        int  // depth of block quotes
	lists         []list
	marker        string // of the list item that has just begun
	cell          string // what stands before the next table cell
	pre           int
	lostTable     bool
}

type list struct {
	ordered, reversed bool
	next              int
}

const maxIndent = 8 // deeper nesting of lists and quotes is shown at this depth

// chars writes text: white space collapses as in HTML, unless it is preformatted. Characters that cannot be shown
// (controls, noncharacters) are left out.
func (l *layout) chars(s string) {
	for i := 0; i < len(s); {
		if c := s[i]; c > ' ' && c < 0x7f {
			j := i + 1
			for j < len(s) && s[j] > ' ' && s[j] < 0x7f {
				j++
			}
			l.flush()
			l.buf = append(l.buf, s[i:j]...)
			i = j
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		l.char(r, s[i:i+n])
		i += n
	}
}

func (l *layout) char(r rune, s string) {
	switch {
	case r == '\n' && (l.pre > 0 || l.keepLines):
		l.breakLine()
	case r == '\r':
		l.space = l.space || l.pre == 0 && !l.keepLines
	case (r == ' ' || r == '\t') && (l.pre > 0 || l.keepLines):
		l.flush()
		l.buf = append(l.buf, ' ')
	case r == ' ' || r == '\t' || r == '\n' || r == '\f':
		l.space = true
	case r == '\u00a0':
		l.nbsp()
	case r == '\u2028' || r == '\u2029':
		l.breakLine()
	case r == utf8.RuneError && len(s) == 1, r < ' ', r >= 0x7f && r < 0xa0, r == '\ufeff', r&0xfffe == 0xfffe, r >= 0xfdd0 && r <= 0xfdef:
	default:
		l.flush()
		l.buf = append(l.buf, s...)
	}
}

// nbsp is an indent at the start of a line and a space elsewhere.
func (l *layout) nbsp() {
	if !l.lineStart() && len(bytes.TrimRight(l.buf, " ")) > bytes.LastIndexByte(l.buf, '\n')+1 {
		l.space = true
		return
	}
	if len(l.buf) == 0 && l.marker == "" {
		return
	}
	l.flush()
	l.buf = append(l.buf, ' ')
}

// lineStart tells whether the next character begins a line.
func (l *layout) lineStart() bool {
	return len(l.buf) == 0 || l.block > 0 || l.breaks > 0 || l.buf[len(l.buf)-1] == '\n'
}

// flushFor writes what waits before a text that is not all white space.
func (l *layout) flushFor(b []byte) {
	if len(b) > 0 && unicode.IsSpace(rune(b[0])) {
		l.space = true
	}
	l.flush()
}

// flush writes the line breaks, the marks of quotes and lists, or the space that wait.
func (l *layout) flush() {
	if l.block == 0 && l.breaks == 0 && l.marker == "" && l.cell == "" && !l.space && len(l.buf) > 0 {
		return
	}
	fresh := l.lineStart()
	if n := min(max(l.block, l.breaks), 4); n > 0 && len(l.buf) > 0 {
		l.buf = append(trimSpaces(l.buf), "\n\n\n\n"[:n]...)
	}
	switch {
	case fresh:
		l.prefix()
	case l.cell != "":
		l.buf = append(l.buf, l.cell...)
	case l.space:
		l.buf = append(l.buf, ' ')
	}
	l.block, l.breaks, l.space, l.cell = 0, 0, false, ""
}

// trimSpaces cuts spaces at the end of a line that is being ended.
func trimSpaces(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] == ' ' {
		b = b[:len(b)-1]
	}
	return b
}

// prefix is what stands before a line in quotes and lists.
func (l *layout) prefix() {
	for range min(l.quotes, maxIndent) {
		l.buf = append(l.buf, "> "...)
	}
	if n := min(len(l.lists), maxIndent); n > 1 {
		l.buf = append(l.buf, strings.Repeat("  ", n-1)...)
	}
	if l.marker != "" {
		l.buf = append(l.buf, l.marker...)
		l.marker = ""
	}
}

func (l *layout) breakLine() {
	l.breaks++
	l.space = false
}

// gap asks for at least n line breaks before the next character. Within a list, items stay close together.
func (l *layout) gap(n int) {
	if len(l.lists) > 0 {
		n = min(n, 1)
	}
	l.block = max(l.block, n)
	l.space = false
}

func (l *layout) startBlock(a atom.Atom, at attrs) {
	switch a {
	case atom.P, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Table, atom.Dl, atom.Figure, atom.Section, atom.Article, atom.Details:
		l.gap(2)
	case atom.Div, atom.Header, atom.Footer, atom.Aside, atom.Nav, atom.Main, atom.Address, atom.Figcaption, atom.Dt, atom.Dd,
		atom.Summary, atom.Form, atom.Fieldset, atom.Center, atom.Caption, atom.Option:
		l.gap(1)
	case atom.Hr:
		l.gap(2)
		l.chars("———")
		l.gap(2)
	case atom.Blockquote:
		l.gap(2)
		l.quotes++
	case atom.Pre, atom.Listing:
		l.gap(2)
		l.pre++
	case atom.Ul, atom.Ol, atom.Menu:
		l.gap(2)
		l.lists = append(l.lists, newList(a, at))
	case atom.Li:
		l.item(at)
	case atom.Tr:
		l.gap(1)
		l.cell, l.lostTable = "", true
	case atom.Td, atom.Th:
		if !l.lineStart() {
			l.cell += " | "
		}
	}
}

func newList(a atom.Atom, at attrs) list {
	n := list{ordered: a == atom.Ol, reversed: at.reversed, next: 1}
	if v, err := strconv.Atoi(at.start); err == nil && v > -1_000_000 && v < 1_000_000 {
		n.next = v
	}
	return n
}

func (l *layout) item(at attrs) {
	l.gap(1)
	l.block = max(l.block, 1)
	if len(l.lists) == 0 {
		l.marker = "• "
		return
	}
	top := &l.lists[len(l.lists)-1]
	if !top.ordered {
		l.marker = "• "
		return
	}
	if v, err := strconv.Atoi(at.value); err == nil && v > -1_000_000 && v < 1_000_000 {
		top.next = v
	}
	l.marker = strconv.Itoa(top.next) + ". "
	if top.reversed {
		top.next--
	} else {
		top.next++
	}
}

func (l *layout) endBlock(a atom.Atom) {
	switch a {
	case atom.P, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Table, atom.Dl, atom.Figure, atom.Section, atom.Article, atom.Details:
		l.gap(2)
	case atom.Div, atom.Header, atom.Footer, atom.Aside, atom.Nav, atom.Main, atom.Address, atom.Figcaption, atom.Dt, atom.Dd,
		atom.Summary, atom.Form, atom.Fieldset, atom.Center, atom.Caption, atom.Tr, atom.Option:
		l.gap(1)
	case atom.Blockquote:
		l.quotes = max(0, l.quotes-1)
		l.gap(2)
	case atom.Pre, atom.Listing:
		l.pre = max(0, l.pre-1)
		l.gap(2)
	case atom.Ul, atom.Ol, atom.Menu:
		if len(l.lists) > 0 {
			l.lists = l.lists[:len(l.lists)-1]
		}
		l.marker = ""
		l.gap(2)
	case atom.Li:
		l.marker = ""
		l.gap(1)
	case atom.Br:
		l.breakLine()
	}
}

func (l *layout) finish() rich {
	return rich{string(l.buf), l.marks}.trim()
}
