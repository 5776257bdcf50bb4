package as2

import "strings"

// Public is the id of the public collection.
const Public = "https://www.w3.org/ns/activitystreams#Public"

// IsPublic knows the three spellings of the public collection (ActivityPub 5.6; Threads sends as:Public).
func IsPublic(id string) bool {
	return id == Public || id == "as:Public" || id == "Public"
}

// ID is the id of a document, "" if it has none.
func (v *Value) ID() string { return v.Get("id").Str() }

// Type is the first of the types.
func (v *Value) Type() string {
	t := v.Get("type")
	if t.Kind() == Array {
		for i := range t.items {
			if t.items[i].kind == String {
				return compact(t.items[i].s)
			}
		}
		return ""
	}
	return compact(t.Str())
}

// Is tells whether one of the types is one of names.
func (v *Value) Is(names ...string) bool {
	t := v.Get("type")
	if t.Kind() != Array {
		return in(compact(t.Str()), names)
	}
	for i := range t.items {
		if in(compact(t.items[i].Str()), names) {
			return true
		}
	}
	return false
}

func in(s string, names []string) bool {
	for _, n := range names {
		if s != "" && s == n {
			return true
		}
	}
	return false
}

// Ref is the id that a value stands for: a string itself, an object's id, or the href of a Link. Of a list it is the
// first that has one.
func (v *Value) Ref() string {
	switch v.Kind() {
	case String:
		return strings.TrimSpace(v.s)
	case Object:
		if id := v.ID(); id != "" {
			return strings.TrimSpace(id)
		}
		return strings.TrimSpace(v.Get("href").Str())
	case Array:
		for i := range v.items {
			if r := v.items[i].Ref(); r != "" {
				return r
			}
		}
	}
	return ""
}

// RefOf is the id under a key.
func (v *Value) RefOf(key string) string { return v.Get(key).Ref() }

// Refs are all ids under a key, in order.
func (v *Value) Refs(key string) []string {
	f := v.Get(key)
	if f.Kind() == String {
		if f.s == "" {
			return nil
		}
		return []string{strings.TrimSpace(f.s)}
	}
	var out []string
	list := f.List()
	for i := range list {
		if r := list[i].Ref(); r != "" {
			out = append(out, r)
		}
	}
	return out
}

// LangText is a text in a language; Lang is "" if unknown.
type LangText struct{ Lang, Text string }

// Text is the natural language value under a key (AS2 Vocabulary 4.7): a string, an @value, the first of a list, or,
// where the plain form is missing, the first entry of the map form.
func (v *Value) Text(key string) string {
	if s, ok := plainText(v.Get(key)); ok {
		return s
	}
	m := v.LangMap(key)
	if len(m) > 0 {
		return m[0].Text
	}
	return ""
}

func plainText(v *Value) (string, bool) {
	switch v.Kind() {
	case String:
		return v.s, true
	case Object:
		if val := v.Get("@value"); val.Kind() == String {
			return val.s, true
		}
	case Array:
		for i := range v.items {
			if s, ok := plainText(&v.items[i]); ok {
				return s, ok
			}
		}
	}
	return "", false
}

// LangMap lists the language versions of a key in the order of the document: its <key>Map, and @value objects with
// @language, and a language map that stands under the key itself. Empty texts are left out.
func (v *Value) LangMap(key string) []LangText {
	out := mapEntries(nil, v.Get(key+"Map"))
	plain := v.Get(key)
	switch plain.Kind() {
	case Object:
		if plain.Has("@value") {
			return valueEntry(out, plain)
		}
		return mapEntries(out, plain)
	case Array:
		for i := range plain.items {
			out = valueEntry(out, &plain.items[i])
		}
	}
	return out
}

func valueEntry(out []LangText, v *Value) []LangText {
	if text, lang := v.Get("@value").Str(), v.Get("@language").Str(); text != "" && lang != "" {
		out = append(out, LangText{lang, text})
	}
	return out
}

func mapEntries(out []LangText, m *Value) []LangText {
	if !m.IsObject() {
		return out
	}
	for i, k := range m.keys {
		if s, ok := plainText(&m.items[i]); ok && s != "" {
			out = append(out, LangText{k, s})
		}
	}
	return out
}

// Language is the @language that the document's own context declares, "" if none.
func (v *Value) Language() string {
	ctx := v.Get("@context").List()
	lang := ""
	for i := range ctx {
		if l := ctx[i].Get("@language").Str(); l != "" {
			lang = l
		}
	}
	return lang
}

// Link is a URL with what the document says of it.
type Link struct {
	Href, MediaType, Rel, Name string
	Width, Height              int
}

// Links reads a url or href property: a string, a Link, or a list of both.
func (v *Value) Links(key string) []Link {
	f := v.Get(key)
	if f.Kind() == String {
		if f.s == "" {
			return nil
		}
		return []Link{{Href: strings.TrimSpace(f.s)}}
	}
	var out []Link
	list := f.List()
	for i := range list {
		if l := list[i].link(); l.Href != "" {
			out = append(out, l)
		}
	}
	return out
}

func (v *Value) link() Link {
	if v.Kind() == String {
		return Link{Href: strings.TrimSpace(v.s)}
	}
	l := Link{
		MediaType: v.Get("mediaType").Str(), Rel: v.Get("rel").First().Str(), Name: v.Text("name"),
		Width: v.Get("width").Int(), Height: v.Get("height").Int(),
	}
	if l.Href = strings.TrimSpace(v.Get("href").Str()); l.Href == "" {
		l.Href = v.Get("url").Ref()
	}
	return l
}

// URL is the address for people: the first link to a page over http(s), else the first http(s) link, else "".
func (v *Value) URL() string {
	first := ""
	for _, l := range v.Links("url") {
		if !strings.HasPrefix(l.Href, "https://") && !strings.HasPrefix(l.Href, "http://") {
			continue
		}
		if l.MediaType == "" || strings.HasPrefix(l.MediaType, "text/html") {
			return l.Href
		}
		if first == "" {
			first = l.Href
		}
	}
	return first
}

// Name is the value itself as a type name, for elements of a type list.
func (v *Value) Name() string { return compact(v.Str()) }
