package pds

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"unicode/utf8"

	"github.com/bluesky-social/indigo/atproto/atdata"
	"github.com/bluesky-social/indigo/atproto/syntax"
	"github.com/ipfs/go-cid"
)

const (
	maxRecord = 1_000_000 // bytes; com.atproto.sync limits a record block to 1 MB
	maxDepth  = 32
	maxNodes  = 20_000
)

// encoded is a checked write.
type encoded struct {
	path  string
	cid   cid.Cid // undefined for a delete
	data  []byte
	blobs []string
}

// encodeWrite checks path and record and encodes the record. Its errors are ErrInvalidRecord.
func encodeWrite(w Write) (encoded, error) {
	e := encoded{path: w.Path()}
	if _, err := syntax.ParseNSID(string(w.Collection)); err != nil {
		return e, fmt.Errorf("%w: %v", ErrInvalidRecord, err)
	}
	if _, err := syntax.ParseRecordKey(string(w.RKey)); err != nil {
		return e, fmt.Errorf("%w: %v", ErrInvalidRecord, err)
	}
	if w.Record == nil {
		return e, nil
	}
	if t, ok := w.Record["$type"]; ok && fmt.Sprint(t) != string(w.Collection) {
		return e, fmt.Errorf("%w: its $type is not its collection", ErrInvalidRecord)
	}
	clean := &cleaner{}
	v, err := clean.value(w.Record, 0)
	if err != nil {
		return e, fmt.Errorf("%w: %v", ErrInvalidRecord, err)
	}
	m, ok := v.(map[string]any)
	if !ok {
		return e, fmt.Errorf("%w: it is no object", ErrInvalidRecord)
	}
	m["$type"] = string(w.Collection)
	if e.data, err = atdata.MarshalCBOR(m); err != nil {
		return e, fmt.Errorf("%w: %v", ErrInvalidRecord, err)
	}
	if len(e.data) > maxRecord {
		return e, fmt.Errorf("%w: %d bytes", ErrInvalidRecord, len(e.data))
	}
	e.blobs = clean.blobs
	e.cid, err = dagCID(e.data)
	return e, err
}

// cleaner brings data into the one form that atdata encodes rightly: its encoder accepts floats and drops nothing, and
// its validator refuses what it decodes itself, so neither can be used alone.
type cleaner struct {
	nodes int
	blobs []string
}

func (c *cleaner) value(v any, depth int) (any, error) {
	if c.nodes++; c.nodes > maxNodes || depth > maxDepth {
		return nil, fmt.Errorf("too large or too deep")
	}
	switch v := v.(type) {
	case nil, bool, int64, atdata.Bytes:
		return v, nil
	case string:
		if !utf8.ValidString(v) {
			return nil, fmt.Errorf("a string is not UTF-8")
		}
		return v, nil
	case float64:
		if v != math.Trunc(v) || math.Abs(v) > 1<<53 {
			return nil, fmt.Errorf("a number is not an integer")
		}
		return int64(v), nil
	case json.Number:
		return v.Int64()
	case []byte:
		return atdata.Bytes(v), nil
	case atdata.CIDLink:
		return c.link(cid.Cid(v))
	case *atdata.CIDLink:
		return c.pointer(v == nil, func() (any, error) { return c.link(cid.Cid(*v)) })
	case cid.Cid:
		return c.link(v)
	case atdata.Blob:
		return c.blob(v)
	case *atdata.Blob:
		return c.pointer(v == nil, func() (any, error) { return c.blob(*v) })
	case map[string]any:
		return c.object(v, depth)
	case []any:
		return c.list(len(v), func(i int) any { return v[i] }, depth)
	}
	return c.relative(reflect.ValueOf(v), depth)
}

func (c *cleaner) pointer(null bool, f func() (any, error)) (any, error) {
	if null {
		return nil, nil
	}
	return f()
}

// relative understands named strings, other integers, and typed slices and maps.
func (c *cleaner) relative(v reflect.Value, depth int) (any, error) {
	switch v.Kind() {
	case reflect.String:
		return c.value(v.String(), depth)
	case reflect.Bool:
		return v.Bool(), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int(), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if v.Uint() > math.MaxInt64 {
			return nil, fmt.Errorf("a number is too large")
		}
		return int64(v.Uint()), nil
	case reflect.Slice:
		return c.list(v.Len(), func(i int) any { return v.Index(i).Interface() }, depth)
	case reflect.Map:
		if v.Type().Key().Kind() != reflect.String {
			break
		}
		m := make(map[string]any, v.Len())
		for _, k := range v.MapKeys() {
			m[k.String()] = v.MapIndex(k).Interface()
		}
		return c.object(m, depth)
	}
	return nil, fmt.Errorf("a %s does not belong into a record", v.Kind())
}

func (c *cleaner) list(n int, at func(int) any, depth int) (any, error) {
	out := make([]any, n)
	for i := range out {
		v, err := c.value(at(i), depth+1)
		if err != nil {
			return nil, err
		}
		out[i] = v
	}
	return out, nil
}

// object reads the JSON forms of links, bytes and blobs as what they stand for.
func (c *cleaner) object(m map[string]any, depth int) (any, error) {
	_, isLink := m["$link"]
	_, isBytes := m["$bytes"]
	if isLink || isBytes || m["$type"] == "blob" {
		return c.special(m)
	}
	if t, ok := m["$type"]; ok && reflect.ValueOf(t).Kind() != reflect.String || ok && fmt.Sprint(t) == "" {
		return nil, fmt.Errorf("a $type that is no name")
	}
	out := make(map[string]any, len(m))
	for k, v := range m {
		if !utf8.ValidString(k) {
			return nil, fmt.Errorf("a field name is not UTF-8")
		}
		clean, err := c.value(v, depth+1)
		if err != nil {
			return nil, err
		}
		out[k] = clean
	}
	return out, nil
}

func (c *cleaner) special(m map[string]any) (any, error) {
	raw, err := json.Marshal(map[string]any{"v": m})
	if err != nil {
		return nil, err
	}
	parsed, err := atdata.UnmarshalJSON(raw)
	if err != nil {
		return nil, err
	}
	switch v := parsed["v"].(type) {
	case atdata.Blob:
		return c.blob(v)
	case atdata.CIDLink:
		return c.link(cid.Cid(v))
	case atdata.Bytes:
		return v, nil
	}
	return nil, fmt.Errorf("an object with a reserved field")
}

func (c *cleaner) link(id cid.Cid) (any, error) {
	if !id.Defined() {
		return nil, fmt.Errorf("an empty link")
	}
	return atdata.CIDLink(id), nil
}

func (c *cleaner) blob(b atdata.Blob) (any, error) {
	id := cid.Cid(b.Ref)
	if !id.Defined() || id.Prefix().Codec != cid.Raw || b.MimeType == "" {
		return nil, fmt.Errorf("a malformed blob")
	}
	c.blobs = append(c.blobs, id.String())
	return b, nil
}
