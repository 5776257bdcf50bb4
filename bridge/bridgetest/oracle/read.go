package oracle

import (
	"encoding/json"
	"html"
	"regexp"
	"strings"
	"time"
)

// sighting is one thing seen, read.
type sighting struct {
	n             int // position in the history
	at            time.Time
	place, author string
	// what is create, update, delete or gone (the whole account).
	what string
	id   string
	verb Verb
	// item is the marker found, or the marker of the act on something; empty for what was not in the workload.
	item, text string
	of         string
	published  string
	raw        []byte
}

var (
	marker = regexp.MustCompile(`item[0-9]{6}`)
	tags   = regexp.MustCompile(`<[^>]*>`)
)

func plain(content string) string {
	return strings.TrimSpace(html.UnescapeString(tags.ReplaceAllString(content, "")))
}

// reader turns the history into sightings; it knows the native ids of what was sent.
type reader struct {
	byID map[string]string // native id to item
}

func (r reader) read(n int, s Seen) (sighting, bool) {
	var doc map[string]any
	if json.Unmarshal(s.Raw, &doc) != nil {
		return sighting{}, false
	}
	out := sighting{n: n, at: s.At, place: s.Place, author: s.Author, raw: s.Raw}
	if s.Place == Relay {
		return out, r.op(&out, doc)
	}
	return out, r.activity(&out, doc)
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

func field(v any, names ...string) any {
	for _, name := range names {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

// ref is the id of an object given whole or by id.
func ref(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return text(field(v, "id"))
}

func (r reader) op(out *sighting, doc map[string]any) bool {
	out.what, out.id = text(doc["action"]), text(doc["uri"])
	if out.what == "account" {
		status := text(doc["status"])
		out.what = map[string]string{"": "back", "deactivated": "hidden"}[status]
		if out.what == "" {
			out.what = "gone"
		}
		return true
	}
	record := doc["record"]
	switch {
	case strings.Contains(out.id, "/app.bsky.feed.post/"):
		out.verb, out.text, out.published = Post, text(field(record, "text")), text(field(record, "createdAt"))
		out.item = marker.FindString(out.text)
		out.of = r.byID[text(field(record, "reply", "parent", "uri"))]
	case strings.Contains(out.id, "/app.bsky.feed.like/"), strings.Contains(out.id, "/app.bsky.feed.repost/"):
		out.verb = Like
		if strings.Contains(out.id, "repost") {
			out.verb = Boost
		}
		out.of = r.byID[text(field(record, "subject", "uri"))]
		out.item = out.name()
	default:
		return false
	}
	return true
}

// name is how the workload calls a like or a boost.
func (s sighting) name() string {
	if s.of == "" {
		return ""
	}
	return string(s.verb) + " of " + s.of + " by " + s.author
}

func (r reader) activity(out *sighting, doc map[string]any) bool {
	object := doc["object"]
	switch text(doc["type"]) {
	case "Create", "Update":
		out.what = strings.ToLower(text(doc["type"]))
		out.verb, out.id, out.published = Post, ref(object), text(field(object, "published"))
		out.text = plain(text(field(object, "content")))
		out.item = marker.FindString(out.text)
		out.of = r.byID[text(field(object, "inReplyTo"))]
		return out.item != ""
	case "Delete":
		out.what, out.verb, out.id = "delete", Post, ref(object)
		if out.id == text(doc["actor"]) {
			out.what = "gone"
		}
	case "Like", "Announce":
		out.what, out.verb, out.id = "create", Like, text(doc["id"])
		if text(doc["type"]) == "Announce" {
			out.verb = Boost
		}
		out.of = r.byID[ref(object)]
		out.item = out.name()
	case "Undo":
		if t := text(field(object, "type")); t == "Follow" || t == "Block" {
			return false
		}
		out.what, out.id = "delete", ref(object)
	default:
		return false
	}
	return true
}
