package bridge

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Public is the id that addresses everybody (ActivityPub 5.6).
const Public = "https://www.w3.org/ns/activitystreams#Public"

// envelope is the little that routing needs to know of an activity: who did what to what. Content is for translate.
type envelope struct {
	id, typ, actor string
	// object is the id of the object, objectType its type where it is embedded.
	object, objectType string
	// inner is the id that an Undo's, Accept's or Reject's object acts on, or a note's inReplyTo.
	inner      string
	innerActor string
	to         []string
	text       string
	doc        map[string]any
	objectDoc  map[string]any
}

func openEnvelope(raw json.RawMessage) (envelope, error) {
	var doc map[string]any
	if err := json.Unmarshal(raw, &doc); err != nil {
		return envelope{}, fmt.Errorf("reading an activity: %w", err)
	}
	e := envelope{doc: doc, id: str(doc["id"]), typ: firstType(doc["type"]), actor: idOf(doc["actor"]), object: idOf(doc["object"])}
	e.to = append(append(ids(doc["to"]), ids(doc["cc"])...), ids(doc["audience"])...)
	if o, ok := first(doc["object"]).(map[string]any); ok {
		e.objectDoc = o
		e.objectType = firstType(o["type"])
		e.innerActor = idOf(o["actor"])
		e.inner = idOf(o["object"])
		if e.inner == "" {
			e.inner = idOf(o["inReplyTo"])
		}
		e.text = str(o["content"])
		e.to = append(append(e.to, ids(o["to"])...), ids(o["cc"])...)
	}
	return e, nil
}

// public reports whether the audience says so; unlisted counts as it names the public too.
func (e *envelope) public() bool {
	return slices.ContainsFunc(e.to, func(s string) bool { return s == Public || s == "as:Public" || s == "Public" })
}

// removes reports whether it takes something back.
func (e *envelope) removes() bool { return e.typ == "Delete" || e.typ == "Undo" }

// addresses reports whether an id is in the audience.
func (e *envelope) addresses(id string) bool { return slices.Contains(e.to, id) }

// touches reports whether anything it names is of this bridge.
func (e *envelope) touches(base string) bool {
	mine := func(s string) bool { return strings.HasPrefix(s, base+"/") }
	return mine(e.object) || mine(e.inner) || mine(e.innerActor) || slices.ContainsFunc(e.to, mine)
}

func first(v any) any {
	if list, ok := v.([]any); ok {
		if len(list) == 0 {
			return nil
		}
		return list[0]
	}
	return v
}

func str(v any) string {
	s, _ := v.(string)
	return s
}

func firstType(v any) string {
	return str(first(v))
}

// idOf is the id of a reference, which may be a string, an object or a list of either.
func idOf(v any) string {
	switch t := first(v).(type) {
	case string:
		return t
	case map[string]any:
		if id := str(t["id"]); id != "" {
			return id
		}
		return str(t["href"])
	}
	return ""
}

func ids(v any) []string {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var out []string
	for _, item := range list {
		if id := idOf(item); id != "" {
			out = append(out, id)
		}
	}
	return out
}
