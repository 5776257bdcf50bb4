package activitypub

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"
)

// Bounds of documents that are read at all, checked while decoding.
const (
	maxDocument = 1 << 20
	maxDepth    = 64
	maxNodes    = 10_000
)

// ErrDocument says that something is not an acceptable ActivityStreams document.
var ErrDocument = errors.New("document not acceptable")

// document is a decoded JSON object. Numbers stay as written.
type document map[string]any

// parseDocument decodes an object strictly: valid UTF-8, no duplicate keys (two parsers would read two different
// things), bounded in size, depth and nodes.
func parseDocument(raw []byte) (document, error) {
	if len(raw) > maxDocument || !utf8.Valid(raw) {
		return nil, fmt.Errorf("%w: size or encoding", ErrDocument)
	}
	d := strictDecoder{dec: json.NewDecoder(bytes.NewReader(raw))}
	d.dec.UseNumber()
	v, err := d.value(0)
	if err != nil {
		return nil, err
	}
	if _, err := d.dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("%w: text after the object", ErrDocument)
	}
	obj, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%w: not an object", ErrDocument)
	}
	return obj, nil
}

type strictDecoder struct {
	dec   *json.Decoder
	nodes int
}

func (d *strictDecoder) value(depth int) (any, error) {
	d.nodes++
	if depth > maxDepth || d.nodes > maxNodes {
		return nil, fmt.Errorf("%w: too deep or too many parts", ErrDocument)
	}
	t, err := d.dec.Token()
	if err != nil {
		return nil, fmt.Errorf("%w: not JSON", ErrDocument)
	}
	switch t {
	case json.Delim('{'):
		return d.object(depth)
	case json.Delim('['):
		return d.array(depth)
	}
	if _, closes := t.(json.Delim); closes {
		return nil, fmt.Errorf("%w: not JSON", ErrDocument)
	}
	return t, nil
}

func (d *strictDecoder) object(depth int) (any, error) {
	out := map[string]any{}
	for d.dec.More() {
		t, err := d.dec.Token()
		key, ok := t.(string)
		if err != nil || !ok {
			return nil, fmt.Errorf("%w: not JSON", ErrDocument)
		}
		if _, twice := out[key]; twice {
			return nil, fmt.Errorf("%w: a key is there twice", ErrDocument)
		}
		if out[key], err = d.value(depth + 1); err != nil {
			return nil, err
		}
	}
	if _, err := d.dec.Token(); err != nil {
		return nil, fmt.Errorf("%w: not JSON", ErrDocument)
	}
	return out, nil
}

func (d *strictDecoder) array(depth int) (any, error) {
	out := []any{}
	for d.dec.More() {
		v, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	if _, err := d.dec.Token(); err != nil {
		return nil, fmt.Errorf("%w: not JSON", ErrDocument)
	}
	return out, nil
}

// str gives a string property, empty if it is anything else.
func (d document) str(key string) string {
	s, _ := d[key].(string)
	return s
}

// id is the document's own id.
func (d document) id() string { return d.str("id") }

// types are all of them.
func (d document) types() []string {
	var out []string
	for _, v := range many(d["type"]) {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// typ is the first type.
func (d document) typ() string {
	if t := d.types(); len(t) > 0 {
		return t[0]
	}
	return ""
}

// isActor is true if any of the types is an actor's: another reader may take another one of them.
func (d document) isActor() bool { return slices.ContainsFunc(d.types(), isActorType) }

// object gives an embedded object property.
func (d document) object(key string) (document, bool) {
	m, ok := d[key].(map[string]any)
	return m, ok
}

// many reads one-or-many.
func many(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	default:
		return []any{v}
	}
}

// idOf is the id of a reference: a string, or an object that has one.
func idOf(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case map[string]any:
		s, _ := v["id"].(string)
		return s
	default:
		return ""
	}
}

// ids reads one-or-many references.
func ids(v any) []string {
	var out []string
	for _, x := range many(v) {
		if id := idOf(x); id != "" {
			out = append(out, id)
		}
	}
	return out
}

// isActorType knows the five actor types of ActivityStreams.
func isActorType(t string) bool {
	switch t {
	case "Person", "Service", "Application", "Group", "Organization":
		return true
	}
	return false
}
