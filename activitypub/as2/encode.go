package as2

import (
	"encoding/json"
	"fmt"
	"math"
	"sort"
	"strconv"
	"unicode/utf8"
)

// Encode writes an outgoing document. Members come in a fixed order: @context, id, type, actor, object and the like
// first, as people and naive parsers expect them, then the rest by name. Same document, same bytes. Text is written as
// UTF-8; only what JSON must escape is escaped, and U+2028/9 for old script readers.
//
// Values are map[string]any, []any, []string, []map[string]any, map[string]string, string, bool, int, int64, float64,
// nil, json.RawMessage and json.Number.
func Encode(doc map[string]any) ([]byte, error) { return AppendValue(make([]byte, 0, 2048), doc) }

// AppendValue appends the JSON of a value to b.
func AppendValue(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case string:
		return AppendString(b, v), nil
	case map[string]any:
		return appendObject(b, v)
	case []any:
		return appendList(b, v)
	case []string:
		return appendList(b, v)
	case []map[string]any:
		return appendList(b, v)
	case map[string]string:
		m := make(map[string]any, len(v))
		for k, s := range v {
			m[k] = s
		}
		return appendObject(b, m)
	case bool:
		return strconv.AppendBool(b, v), nil
	case int:
		return strconv.AppendInt(b, int64(v), 10), nil
	case int64:
		return strconv.AppendInt(b, v, 10), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("encoding document: %v is no JSON number", v)
		}
		return strconv.AppendFloat(b, v, 'f', -1, 64), nil
	case json.RawMessage:
		return append(b, v...), nil
	case json.Number:
		return append(b, v...), nil
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encoding document: %w", err)
	}
	return append(b, raw...), nil
}

func appendList[T any](b []byte, list []T) ([]byte, error) {
	b = append(b, '[')
	for i, x := range list {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = AppendValue(b, x); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

func appendObject(b []byte, m map[string]any) ([]byte, error) {
	var buf [32]string
	keys := buf[:0]
	for k := range m {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool {
		a, b := keyRank(keys[i]), keyRank(keys[j])
		return a < b || a == b && keys[i] < keys[j]
	})
	b = append(b, '{')
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(AppendString(b, k), ':')
		var err error
		if b, err = AppendValue(b, m[k]); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

func keyRank(k string) int {
	switch k {
	case "@context", "$type":
		return 0
	case "id":
		return 1
	case "type":
		return 2
	case "actor":
		return 3
	case "attributedTo":
		return 4
	case "object":
		return 98
	case "proof", "signature":
		return 99
	}
	return 50
}

// AppendString appends a JSON string. What is not UTF-8 becomes U+FFFD.
func AppendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= 0x20 && c != '"' && c != '\\' {
				i++
				continue
			}
			b = append(b, s[start:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, '\\', 'n')
			case '\r':
				b = append(b, '\\', 'r')
			case '\t':
				b = append(b, '\\', 't')
			default:
				b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			}
			i++
			start = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 || r == '\u2028' || r == '\u2029' {
			b = append(b, s[start:i]...)
			switch r {
			case '\u2028':
				b = append(b, `\u2028`...)
			case '\u2029':
				b = append(b, `\u2029`...)
			default:
				b = append(b, `\ufffd`...)
			}
			start = i + n
		}
		i += n
	}
	return append(append(b, s[start:]...), '"')
}
