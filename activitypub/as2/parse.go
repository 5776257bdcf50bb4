package as2

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits of a document, checked before anything is built from it.
const (
	MaxBytes = 1 << 20
	MaxDepth = 64
	MaxNodes = 10_000
)

// Errors of Parse.
var (
	ErrTooLarge     = errors.New("document is larger than 1 MiB")
	ErrTooDeep      = errors.New("document is nested deeper than 64")
	ErrTooMany      = errors.New("document has more than 10000 values")
	ErrDuplicateKey = errors.New("document has a key twice")
	ErrSyntax       = errors.New("document is not JSON")
	ErrNotObject    = errors.New("document is not a JSON object")
)

// Parse reads a document. A list of one object, as expanded JSON-LD has it, is read as that object. A key that stands
// twice in one object is an error: readers would disagree about who the sender is.
func Parse(raw []byte) (*Value, error) {
	v, err := ParseJSON(raw)
	if err != nil {
		return nil, err
	}
	if v.kind == Array && len(v.items) == 1 {
		v = &v.items[0]
	}
	if v.kind != Object {
		return nil, ErrNotObject
	}
	return v, nil
}

// ParseJSON reads any JSON value under the same limits.
func ParseJSON(raw []byte) (*Value, error) {
	if len(raw) > MaxBytes {
		return nil, ErrTooLarge
	}
	p := parser{in: string(raw)}
	var v Value
	if err := p.value(&v, 0, false); err != nil {
		return nil, err
	}
	p.space()
	if p.pos != len(p.in) {
		return nil, p.syntax("something follows the document")
	}
	return &v, nil
}

// parser is a strict RFC 8259 reader; strings without escapes share the input's memory.
type parser struct {
	in    string
	pos   int
	nodes int
}

func (p *parser) syntax(what string) error {
	return fmt.Errorf("%w: at byte %d: %s", ErrSyntax, p.pos, what)
}

func (p *parser) space() {
	for p.pos < len(p.in) {
		switch p.in[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return
		}
	}
}

// value reads one value; inContext is set below @context, where keys are definitions and stay as they are.
func (p *parser) value(out *Value, depth int, inContext bool) error {
	if depth > MaxDepth {
		return ErrTooDeep
	}
	if p.nodes++; p.nodes > MaxNodes {
		return ErrTooMany
	}
	p.space()
	if p.pos >= len(p.in) {
		return p.syntax("value expected")
	}
	switch c := p.in[p.pos]; c {
	case '{':
		return p.object(out, depth, inContext)
	case '[':
		return p.array(out, depth, inContext)
	case '"':
		s, err := p.str()
		out.kind, out.s = String, s
		return err
	case 't':
		return p.word(out, "true", Bool)
	case 'f':
		return p.word(out, "false", Bool)
	case 'n':
		return p.word(out, "null", Null)
	default:
		return p.number(out)
	}
}

func (p *parser) word(out *Value, w string, k Kind) error {
	if !strings.HasPrefix(p.in[p.pos:], w) {
		return p.syntax("unknown word")
	}
	p.pos += len(w)
	out.kind, out.s = k, w
	return nil
}

func (p *parser) array(out *Value, depth int, inContext bool) error {
	p.pos++
	out.kind = Array
	p.space()
	if p.pos < len(p.in) && p.in[p.pos] == ']' {
		p.pos++
		return nil
	}
	for {
		out.items = append(out.items, Value{})
		if err := p.value(&out.items[len(out.items)-1], depth+1, inContext); err != nil {
			return err
		}
		done, err := p.next(']')
		if done || err != nil {
			return err
		}
	}
}

// next reads the comma between elements, or the closing byte.
func (p *parser) next(closing byte) (done bool, err error) {
	p.space()
	if p.pos >= len(p.in) {
		return false, p.syntax("unexpected end")
	}
	switch p.in[p.pos] {
	case ',':
		p.pos++
		return false, nil
	case closing:
		p.pos++
		return true, nil
	}
	return false, p.syntax("comma expected")
}

func (p *parser) object(out *Value, depth int, inContext bool) error {
	p.pos++
	out.kind = Object
	p.space()
	if p.pos < len(p.in) && p.in[p.pos] == '}' {
		p.pos++
		return nil
	}
	var seen map[string]bool
	for {
		key, err := p.key()
		if err != nil {
			return err
		}
		if seen, err = p.unique(out, seen, key); err != nil {
			return err
		}
		out.items = append(out.items, Value{})
		if err := p.value(&out.items[len(out.items)-1], depth+1, inContext || key == "@context"); err != nil {
			return err
		}
		out.keys = append(out.keys, key)
		done, err := p.next('}')
		if err != nil {
			return err
		}
		if done {
			break
		}
	}
	if !inContext {
		canonicalKeys(out.keys)
	}
	return nil
}

func (p *parser) key() (string, error) {
	p.space()
	if p.pos >= len(p.in) || p.in[p.pos] != '"' {
		return "", p.syntax("key expected")
	}
	key, err := p.str()
	if err != nil {
		return "", err
	}
	p.space()
	if p.pos >= len(p.in) || p.in[p.pos] != ':' {
		return "", p.syntax("colon expected")
	}
	p.pos++
	return key, nil
}

// unique refuses a key that stands twice; from 16 keys on with a set, so that many keys cost no square.
func (p *parser) unique(out *Value, seen map[string]bool, key string) (map[string]bool, error) {
	if seen == nil {
		for _, k := range out.keys {
			if k == key {
				return nil, ErrDuplicateKey
			}
		}
		if len(out.keys) < 16 {
			return nil, nil
		}
		seen = make(map[string]bool, 64)
		for _, k := range out.keys {
			seen[k] = true
		}
	}
	if seen[key] {
		return seen, ErrDuplicateKey
	}
	seen[key] = true
	return seen, nil
}

const asPrefix = "https://www.w3.org/ns/activitystreams#"

// canonicalKeys gives aliases their compact names. A name that is there already wins, as its key comes out first only
// if it is the plain one.
func canonicalKeys(keys []string) {
	for i, k := range keys {
		c := compact(k)
		if c == k {
			continue
		}
		taken := false
		for _, other := range keys {
			taken = taken || other == c
		}
		if !taken {
			keys[i] = c
		}
	}
}

// compact is the plain name of an AS2 term or JSON-LD keyword.
func compact(k string) string {
	switch {
	case k == "@id":
		return "id"
	case k == "@type":
		return "type"
	case strings.HasPrefix(k, "as:"):
		return k[3:]
	case len(k) > len(asPrefix) && strings.HasPrefix(k, asPrefix):
		return k[len(asPrefix):]
	}
	return k
}

func (p *parser) number(out *Value) error {
	start := p.pos
	p.accept("-")
	switch {
	case p.accept("0"):
	case p.digits():
	default:
		return p.syntax("value expected")
	}
	if p.accept(".") && !p.digits() {
		return p.syntax("digits expected")
	}
	if p.accept("eE") {
		p.accept("+-")
		if !p.digits() {
			return p.syntax("digits expected")
		}
	}
	out.kind, out.s = Number, p.in[start:p.pos]
	return nil
}

func (p *parser) accept(set string) bool {
	if p.pos < len(p.in) && strings.IndexByte(set, p.in[p.pos]) >= 0 {
		p.pos++
		return true
	}
	return false
}

func (p *parser) digits() bool {
	start := p.pos
	for p.pos < len(p.in) && p.in[p.pos] >= '0' && p.in[p.pos] <= '9' {
		p.pos++
	}
	return p.pos > start
}

func (p *parser) str() (string, error) {
	p.pos++
	start := p.pos
	for i := start; i < len(p.in); i++ {
		switch c := p.in[i]; {
		case c == '"':
			p.pos = i + 1
			return strings.ToValidUTF8(p.in[start:i], "\uFFFD"), nil
		case c == '\\':
			return p.escaped(start, i)
		case c < 0x20:
			p.pos = i
			return "", p.syntax("control character in a string")
		}
	}
	p.pos = len(p.in)
	return "", p.syntax("string has no end")
}

// escaped reads the rest of a string whose first escape is at i.
func (p *parser) escaped(start, i int) (string, error) {
	b := make([]byte, 0, len(p.in[start:i])*2+32)
	b = append(b, p.in[start:i]...)
	for i < len(p.in) {
		c := p.in[i]
		switch {
		case c == '"':
			p.pos = i + 1
			return strings.ToValidUTF8(string(b), "\uFFFD"), nil
		case c < 0x20:
			p.pos = i
			return "", p.syntax("control character in a string")
		case c != '\\':
			b = append(b, c)
			i++
		default:
			var n int
			if b, n = unescape(b, p.in[i:]); n == 0 {
				p.pos = i
				return "", p.syntax("bad escape")
			}
			i += n
		}
	}
	p.pos = len(p.in)
	return "", p.syntax("string has no end")
}

// unescape appends the character that s starts with an escape of, and says how long that is; 0 if it is none.
func unescape(b []byte, s string) ([]byte, int) {
	if len(s) < 2 {
		return b, 0
	}
	if s[1] == 'u' {
		r, ok := hex4(s)
		if !ok {
			return b, 0
		}
		if utf16.IsSurrogate(r) {
			if low, ok := hex4(s[6:]); ok {
				if both := utf16.DecodeRune(r, low); both != utf8.RuneError {
					return utf8.AppendRune(b, both), 12
				}
			}
			r = utf8.RuneError
		}
		return utf8.AppendRune(b, r), 6
	}
	const from, to = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	if k := strings.IndexByte(from, s[1]); k >= 0 {
		return append(b, to[k]), 2
	}
	return b, 0
}

func hex4(s string) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range []byte(s[2:6]) {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
