package as2

import (
	"context"
	"errors"
	"fmt"

	"github.com/superseriousbusiness/activity/streams"
	"github.com/superseriousbusiness/activity/streams/vocab"
)

// ErrNotInVocabulary is returned by Typed for a type that the library does not know.
var ErrNotInVocabulary = errors.New("type is not in the vocabulary")

// View is a typed, read-only look at a document through the vocabulary library. It serves to ask what a type is and
// to read core properties by their kinds. Ids, texts, dates, durations and blurhashes come from the Value instead: the
// library rewrites strings that look like URLs, re-prints ids and drops language maps. It is never serialised.
type View struct{ t vocab.Type }

// Typed builds the view. The library panics on some hostile input, so it gets a reduced copy and is guarded besides.
func Typed(v *Value) (view View, err error) {
	defer func() {
		if r := recover(); r != nil {
			view, err = View{}, fmt.Errorf("vocabulary library failed on a %s: %v", v.Type(), r)
		}
	}()
	m := reduced(v)
	if m == nil {
		return View{}, ErrNotInVocabulary
	}
	m["@context"] = "https://www.w3.org/ns/activitystreams"
	t, err := streams.ToType(context.Background(), m)
	if err != nil {
		return View{}, fmt.Errorf("%w: %w", ErrNotInVocabulary, err)
	}
	return View{t}, nil
}

// reduced copies an object without what the library cannot take: durations (an empty one panics), blurhashes, nulls,
// nested contexts, types that are no strings.
func reduced(v *Value) map[string]any {
	if !v.IsObject() {
		return nil
	}
	m := make(map[string]any, len(v.keys))
	for i, k := range v.keys {
		switch k {
		case "@context", "duration", "blurhash":
			continue
		case "type":
			if t := v.Type(); t != "" {
				m["type"] = t
			}
			continue
		}
		if x := reducedAny(&v.items[i]); x != nil {
			m[k] = x
		}
	}
	return m
}

func reducedAny(v *Value) any {
	switch v.Kind() {
	case Object:
		return reduced(v)
	case Array:
		out := make([]any, 0, len(v.items))
		for i := range v.items {
			if x := reducedAny(&v.items[i]); x != nil {
				out = append(out, x)
			}
		}
		return out
	}
	return v.Any()
}

// Type is the vocabulary's value, for its property getters.
func (v View) Type() vocab.Type { return v.t }

// IsActivity tells whether the type is Activity or extends it.
func (v View) IsActivity() bool {
	return v.t != nil && streams.IsOrExtendsActivityStreamsActivity(v.t)
}

// IsActor tells whether the type is one of the five actor types.
func (v View) IsActor() bool {
	if v.t == nil {
		return false
	}
	switch v.t.GetTypeName() {
	case "Application", "Group", "Organization", "Person", "Service":
		return true
	}
	return false
}

// IsCollection tells whether the type is a collection or a page of one.
func (v View) IsCollection() bool {
	return v.t != nil && (streams.IsOrExtendsActivityStreamsCollection(v.t) || streams.IsOrExtendsActivityStreamsOrderedCollection(v.t))
}

// IsIntransitive tells whether the type is an activity without an object, such as Arrive, Travel and Question.
func (v View) IsIntransitive() bool {
	return v.t != nil && streams.IsOrExtendsActivityStreamsIntransitiveActivity(v.t)
}
