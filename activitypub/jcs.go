package activitypub

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

// canonical writes a decoded document by the JSON Canonicalization Scheme (RFC 8785). Numbers must be ones that every
// reader understands alike.
func canonical(v any) ([]byte, error) {
	var b bytes.Buffer
	if err := writeCanonical(&b, v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func writeCanonical(b *bytes.Buffer, v any) error {
	switch v := v.(type) {
	case nil:
		b.WriteString("null")
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case string:
		writeCanonicalString(b, v)
	case json.Number:
		return writeCanonicalNumber(b, v)
	case int:
		return writeCanonicalNumber(b, json.Number(strconv.Itoa(v)))
	case float64:
		return writeCanonicalNumber(b, json.Number(strconv.FormatFloat(v, 'g', -1, 64)))
	case []any:
		return writeCanonicalArray(b, v)
	case []string:
		return writeCanonicalArray(b, anySlice(v))
	case map[string]any:
		return writeCanonicalObject(b, v)
	case document:
		return writeCanonicalObject(b, v)
	default:
		return fmt.Errorf("%w: cannot canonicalise %T", ErrDocument, v)
	}
	return nil
}

func anySlice(in []string) []any {
	out := make([]any, len(in))
	for i, s := range in {
		out[i] = s
	}
	return out
}

func writeCanonicalArray(b *bytes.Buffer, v []any) error {
	b.WriteByte('[')
	for i, e := range v {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := writeCanonical(b, e); err != nil {
			return err
		}
	}
	b.WriteByte(']')
	return nil
}

// writeCanonicalObject sorts keys by their UTF-16 code units (section 3.2.3).
func writeCanonicalObject(b *bytes.Buffer, m map[string]any) error {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(x, y string) int {
		return slices.Compare(utf16.Encode([]rune(x)), utf16.Encode([]rune(y)))
	})
	b.WriteByte('{')
	for i, k := range keys {
		if i > 0 {
			b.WriteByte(',')
		}
		writeCanonicalString(b, k)
		b.WriteByte(':')
		if err := writeCanonical(b, m[k]); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return nil
}

func writeCanonicalString(b *bytes.Buffer, s string) {
	b.WriteByte('"')
	for _, r := range s {
		switch r {
		case '"', '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case '\b':
			b.WriteString(`\b`)
		case '\f':
			b.WriteString(`\f`)
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		case '\t':
			b.WriteString(`\t`)
		default:
			if r < 0x20 {
				fmt.Fprintf(b, `\u%04x`, r)
			} else {
				b.WriteRune(r)
			}
		}
	}
	b.WriteByte('"')
}

// writeCanonicalNumber prints as ECMAScript does (section 3.2.2.3).
func writeCanonicalNumber(b *bytes.Buffer, n json.Number) error {
	f, err := strconv.ParseFloat(n.String(), 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return fmt.Errorf("%w: number out of range", ErrDocument)
	}
	if f == 0 {
		b.WriteByte('0')
		return nil
	}
	if abs := math.Abs(f); abs >= 1e-6 && abs < 1e21 {
		b.WriteString(strconv.FormatFloat(f, 'f', -1, 64))
		return nil
	}
	mantissa, exp, _ := strings.Cut(strconv.FormatFloat(f, 'e', -1, 64), "e")
	sign := exp[:1]
	b.WriteString(mantissa + "e" + sign + strings.TrimLeft(exp[1:], "0"))
	return nil
}
