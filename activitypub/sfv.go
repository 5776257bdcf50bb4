package activitypub

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
)

// This is the part of structured fields (RFC 8941) that HTTP message signatures need, and nothing looser: dictionaries
// whose members are byte sequences or inner lists of strings, with parameters.

var errField = errors.New("malformed structured field")

// sfParam is a parameter; value is a string, int64, bool or []byte.
type sfParam struct {
	key   string
	value any
}

// sfItem is a string with parameters: one covered component.
type sfItem struct {
	value  string
	params []sfParam
}

// sfMember is one dictionary member. raw is its text as sent, which RFC 9421 signs.
type sfMember struct {
	key     string
	isBytes bool
	bytes   []byte
	list    []sfItem
	params  []sfParam
	raw     string
}

type sfParser struct {
	s string
	i int
}

// parseDictionary refuses duplicate keys, although RFC 8941 lets the last one win: nobody honest sends them.
func parseDictionary(s string) ([]sfMember, error) {
	p := &sfParser{s: strings.Trim(s, " ")}
	seen := map[string]bool{}
	var out []sfMember
	for {
		m, err := p.member()
		if err != nil {
			return nil, err
		}
		if seen[m.key] || len(out) == 16 {
			return nil, errField
		}
		seen[m.key] = true
		out = append(out, m)
		p.spaces()
		if p.i == len(p.s) {
			return out, nil
		}
		if !p.eat(',') {
			return nil, errField
		}
		p.spaces()
	}
}

func (p *sfParser) spaces() {
	for p.i < len(p.s) && (p.s[p.i] == ' ' || p.s[p.i] == '\t') {
		p.i++
	}
}

func (p *sfParser) peek() byte {
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0
}

func (p *sfParser) eat(c byte) bool {
	if p.peek() == c && p.i < len(p.s) {
		p.i++
		return true
	}
	return false
}

func (p *sfParser) member() (m sfMember, err error) {
	if m.key, err = p.key(); err != nil {
		return m, err
	}
	if !p.eat('=') {
		return m, errField
	}
	start := p.i
	switch p.peek() {
	case ':':
		m.isBytes = true
		m.bytes, err = p.byteSequence()
	case '(':
		m.list, err = p.innerList()
	default:
		err = errField
	}
	if err != nil {
		return m, err
	}
	m.params, err = p.params()
	m.raw = p.s[start:p.i]
	return m, err
}

func (p *sfParser) key() (string, error) {
	start := p.i
	for p.i < len(p.s) {
		c := p.s[p.i]
		lower := c >= 'a' && c <= 'z' || c == '*'
		if !lower && (p.i == start || !(c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.')) {
			break
		}
		p.i++
	}
	if p.i == start || p.i-start > 64 {
		return "", errField
	}
	return p.s[start:p.i], nil
}

func (p *sfParser) byteSequence() ([]byte, error) {
	p.i++
	end := strings.IndexByte(p.s[p.i:], ':')
	if end < 0 {
		return nil, errField
	}
	b, err := base64.StdEncoding.DecodeString(p.s[p.i : p.i+end])
	if err != nil {
		return nil, errField
	}
	p.i += end + 1
	return b, nil
}

func (p *sfParser) innerList() ([]sfItem, error) {
	p.i++
	var out []sfItem
	for {
		for p.eat(' ') {
			continue
		}
		if p.eat(')') {
			return out, nil
		}
		if len(out) > 0 && p.s[p.i-1] != ' ' || len(out) == 32 {
			return nil, errField
		}
		s, err := p.str()
		if err != nil {
			return nil, err
		}
		params, err := p.params()
		if err != nil {
			return nil, err
		}
		out = append(out, sfItem{s, params})
	}
}

func (p *sfParser) str() (string, error) {
	if !p.eat('"') {
		return "", errField
	}
	var b strings.Builder
	for p.i < len(p.s) {
		c := p.s[p.i]
		p.i++
		switch {
		case c == '"':
			return b.String(), nil
		case c == '\\':
			if e := p.peek(); e != '"' && e != '\\' {
				return "", errField
			}
			b.WriteByte(p.s[p.i])
			p.i++
		case c < 0x20 || c > 0x7e:
			return "", errField
		default:
			b.WriteByte(c)
		}
	}
	return "", errField
}

func (p *sfParser) params() ([]sfParam, error) {
	var out []sfParam
	for p.eat(';') {
		for p.eat(' ') {
			continue
		}
		k, err := p.key()
		if err != nil {
			return nil, err
		}
		for _, o := range out {
			if o.key == k {
				return nil, errField
			}
		}
		v := any(true)
		if p.eat('=') {
			if v, err = p.bareItem(); err != nil {
				return nil, err
			}
		}
		out = append(out, sfParam{k, v})
	}
	return out, nil
}

func (p *sfParser) bareItem() (any, error) {
	switch c := p.peek(); {
	case c == '"':
		return p.str()
	case c == ':':
		return p.byteSequence()
	case c == '?':
		p.i++
		if p.eat('1') {
			return true, nil
		}
		if p.eat('0') {
			return false, nil
		}
		return nil, errField
	case c == '-' || c >= '0' && c <= '9':
		return p.integer()
	default:
		return nil, errField
	}
}

func (p *sfParser) integer() (any, error) {
	start := p.i
	p.eat('-')
	for c := p.peek(); c >= '0' && c <= '9'; c = p.peek() {
		p.i++
	}
	if p.i-start > 16 {
		return nil, errField
	}
	n, err := strconv.ParseInt(p.s[start:p.i], 10, 64)
	if err != nil {
		return nil, errField
	}
	return n, nil
}
