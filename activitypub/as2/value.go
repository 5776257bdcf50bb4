package as2

import "strconv"

// Kind is what a JSON value is.
type Kind uint8

// The kinds. Missing is a value that is not there.
const (
	Missing Kind = iota
	Null
	Bool
	Number
	String
	Array
	Object
)

// Value is a node of a parsed document. Methods work on a nil *Value as on a missing one, so chains need no checks.
// A Value is read-only and may be used by several goroutines.
type Value struct {
	kind  Kind
	s     string // the text of a String, the literal of a Number, "true" or "false"
	keys  []string
	items []Value // elements of an Array, or the values to keys of an Object
}

// Kind of the value.
func (v *Value) Kind() Kind {
	if v == nil {
		return Missing
	}
	return v.kind
}

// IsZero tells whether there is nothing: missing or null.
func (v *Value) IsZero() bool { return v == nil || v.kind == Missing || v.kind == Null }

// IsObject tells whether the value is a JSON object.
func (v *Value) IsObject() bool { return v != nil && v.kind == Object }

// Str is the text of a string, and "" of anything else.
func (v *Value) Str() string {
	if v == nil || v.kind != String {
		return ""
	}
	return v.s
}

// Bool reads true and "true".
func (v *Value) Bool() bool {
	return v != nil && (v.kind == Bool || v.kind == String) && v.s == "true"
}

// Float reads a number, or a string that spells one.
func (v *Value) Float() (float64, bool) {
	if v == nil || (v.kind != Number && v.kind != String) {
		return 0, false
	}
	f, err := strconv.ParseFloat(v.s, 64)
	return f, err == nil
}

// Int reads a number that is whole, within 32 bits and not negative; 0 otherwise. Servers write sizes as 1200.0 too.
func (v *Value) Int() int {
	f, ok := v.Float()
	if !ok || f < 1 || f > 1<<31 {
		return 0
	}
	return int(f)
}

// Literal is the text of a string, a number or a boolean as it stands.
func (v *Value) Literal() string {
	if v == nil {
		return ""
	}
	return v.s
}

// Get is the value to a key, nil if there is none or v is no object.
func (v *Value) Get(key string) *Value {
	if v == nil || v.kind != Object {
		return nil
	}
	for i, k := range v.keys {
		if k == key {
			return &v.items[i]
		}
	}
	return nil
}

// Has tells whether a key is there with something other than null.
func (v *Value) Has(key string) bool { return !v.Get(key).IsZero() }

// Keys of an object in the order of the document.
func (v *Value) Keys() []string {
	if v == nil || v.kind != Object {
		return nil
	}
	return v.keys
}

// List is the elements of an array (or of an @list or @set), or the one value as a list; nulls are left out by callers.
func (v *Value) List() []Value {
	switch {
	case v.IsZero():
		return nil
	case v.kind == Array:
		return v.items
	case v.kind == Object && len(v.keys) == 1 && (v.keys[0] == "@list" || v.keys[0] == "@set"):
		return v.items[0].List()
	}
	return []Value{*v}
}

// First is the first element that is not null, of the value seen as a list.
func (v *Value) First() *Value {
	if v == nil || v.kind != Array {
		if v.IsZero() {
			return nil
		}
		return v
	}
	for i := range v.items {
		if !v.items[i].IsZero() {
			return &v.items[i]
		}
	}
	return nil
}

// Any turns the value into what encoding/json would have made of it, numbers as float64 (0 where
// none holds them).
func (v *Value) Any() any {
	switch v.Kind() {
	case String:
		return v.s
	case Bool:
		return v.s == "true"
	case Number:
		if f, ok := v.Float(); ok {
			return f
		}
		return 0.0
	case Array:
		out := make([]any, len(v.items))
		for i := range v.items {
			out[i] = v.items[i].Any()
		}
		return out
	case Object:
		out := make(map[string]any, len(v.keys))
		for i, k := range v.keys {
			out[k] = v.items[i].Any()
		}
		return out
	}
	return nil
}
