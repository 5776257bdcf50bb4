package activitypubtest

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Validate applies the rules by which the software named drops or mangles documents, as far as they differ from plain
// ActivityStreams. It returns what is wrong with a document (an actor, an object or an activity).
func Validate(d Dialect, doc map[string]any) []string {
	v := &validator{d: d}
	v.activity(doc)
	return v.wrong
}

type validator struct {
	d     Dialect
	wrong []string
	// inside is set for what another document embeds: it needs no context of its own.
	inside bool
}

func (v *validator) fail(format string, args ...any) {
	v.wrong = append(v.wrong, string(v.d)+": "+fmt.Sprintf(format, args...))
}

func (v *validator) need(ok bool, format string, args ...any) {
	if !ok {
		v.fail(format, args...)
	}
}

func host(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return ""
	}
	return u.Host
}

func isList(x any) bool { _, ok := x.([]any); return ok }

func str(doc map[string]any, k string) string { s, _ := doc[k].(string); return s }

// activity checks what is common to all and then what is inside.
func (v *validator) activity(doc map[string]any) {
	typ := str(doc, "type")
	switch typ {
	case "Person", "Service", "Application", "Group", "Organization":
		v.actor(doc)
		return
	case "Note", "Article", "Page", "Question", "Event", "Video", "Audio", "Image":
		v.object(doc)
		return
	case "":
		v.fail("type must be a string")
		return
	}
	id, idIsString := doc["id"].(string)
	actor, actorIsString := doc["actor"].(string)
	v.need(idIsString && id != "", "%s without a string id", typ)
	v.need(actorIsString && actor != "", "%s whose actor is not a string", typ)
	v.need(host(id) == host(actor), "%s whose id is not on its actor's host", typ)
	for _, k := range []string{"to", "cc"} {
		if x, there := doc[k]; there {
			v.need(isList(x), "%s.%s must be an array", typ, k)
		}
	}
	v.inner(typ, doc, actor)
	v.depth(doc)
}

func (v *validator) inner(typ string, doc map[string]any, actor string) {
	object, embedded := doc["object"].(map[string]any)
	switch typ {
	case "Accept", "Reject", "Undo":
		v.need(embedded, "%s must embed what it answers", typ)
		for _, k := range []string{"type", "actor", "object"} {
			v.need(!embedded || object[k] != nil, "%s of an activity without %s", typ, k)
		}
	case "Like", "Announce":
		_, plain := doc["object"].(string)
		v.need(plain, "%s must name its object by id", typ)
	case "Follow":
		_, plain := doc["object"].(string)
		v.need(plain, "Follow must name its object by id")
	case "Create", "Update":
		if !embedded {
			v.fail("%s without an embedded object", typ)
			return
		}
		v.need(host(str(object, "id")) == host(actor), "%s of an object on another host", typ)
		if isNoteLike(str(object, "type")) {
			v.need(str(object, "attributedTo") == actor, "attributedTo is not the actor")
			v.need(same(doc["to"], object["to"]) && same(doc["cc"], object["cc"]), "to and cc of %s and object differ", typ)
			v.need(isList(doc["to"]) && isList(doc["cc"]), "%s needs to and cc", typ)
		}
		sub := &validator{d: v.d, inside: true}
		sub.activity(object)
		v.wrong = append(v.wrong, sub.wrong...)
	}
}

func isNoteLike(t string) bool {
	switch t {
	case "Note", "Article", "Page", "Question", "Event", "Video":
		return true
	}
	return false
}

func same(a, b any) bool {
	x, err1 := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && string(x) == string(y)
}

func (v *validator) object(doc map[string]any) {
	typ := str(doc, "type")
	v.need(str(doc, "id") != "", "%s without id", typ)
	v.need(str(doc, "attributedTo") != "", "%s.attributedTo must be a string", typ)
	for _, k := range []string{"to", "cc", "tag", "attachment"} {
		if x, there := doc[k]; there || k == "to" || k == "cc" {
			v.need(isList(x), "%s.%s must be an array", typ, k)
		}
	}
	if x, there := doc["inReplyTo"]; there && x != nil {
		_, plain := x.(string)
		v.need(plain, "inReplyTo must be a string")
	}
	_, err := time.Parse(time.RFC3339, str(doc, "published"))
	v.need(err == nil && strings.HasSuffix(str(doc, "published"), "Z"), "published must be RFC 3339 in UTC")
	if x, there := doc["url"]; there {
		_, plain := x.(string)
		v.need(plain, "url must be a string")
	}
	if x, there := doc["sensitive"]; there {
		_, is := x.(bool)
		v.need(is, "sensitive must be a boolean")
	}
	if x, there := doc["summary"]; there && typ == "Note" {
		v.need(x != "", "an empty summary must be left out")
	}
	v.content(doc)
	v.parts(doc)
	v.byDialect(doc)
	v.depth(doc)
}

func (v *validator) content(doc map[string]any) {
	content, ok := doc["content"].(string)
	v.need(ok, "content must be a string")
	if m, ok := doc["contentMap"].(map[string]any); ok {
		v.need(len(m) > 0, "contentMap must have a language")
		for _, c := range m {
			v.need(c == content, "contentMap must repeat content byte by byte")
		}
	}
}

func (v *validator) parts(doc map[string]any) {
	attachments, _ := doc["attachment"].([]any)
	for _, x := range attachments {
		m, ok := x.(map[string]any)
		v.need(ok && str(m, "type") != "", "attachment must be an object with a type")
		if ok && v.d == Pixelfed {
			switch str(m, "type") {
			case "Document", "Image", "Video":
			default:
				v.fail("attachment type %q", m["type"])
			}
		}
		_, plain := m["url"].(string)
		v.need(!ok || plain || m["href"] != nil, "attachment.url must be a string")
	}
	tags, _ := doc["tag"].([]any)
	for _, x := range tags {
		m, ok := x.(map[string]any)
		v.need(ok && str(m, "type") != "", "tag must be an object with a type")
		if ok && m["type"] == "Mention" {
			v.need(strings.HasPrefix(str(m, "name"), "@") && str(m, "href") != "", "Mention needs name and href")
		}
		if ok && m["type"] == "Hashtag" {
			v.need(strings.HasPrefix(str(m, "name"), "#"), "Hashtag needs its #")
		}
	}
}

func (v *validator) byDialect(doc map[string]any) {
	switch v.d {
	case PeerTube:
		v.need(strings.TrimSpace(str(doc, "content")) != "" || str(doc, "type") != "Note", "comment without content")
	case Misskey:
		u := str(doc, "url")
		v.need(u == "" || strings.HasPrefix(u, "https://") || strings.HasPrefix(u, "http://localhost") || strings.HasPrefix(u, "http://127."), "url must be https")
	}
}

// Pixelfed has no server here; its rules can be applied all the same.
const Pixelfed Dialect = "pixelfed"

var (
	mastodonName = regexp.MustCompile(`(?i)^[a-z0-9_]+([.-]+[a-z0-9_]+)*$`)
	misskeyName  = regexp.MustCompile(`^\w([\w.-]*\w)?$`)
	peerTubeName = regexp.MustCompile(`^[A-Za-z0-9\-_.:]+$`)
)

func (v *validator) actor(doc map[string]any) {
	id, name := str(doc, "id"), str(doc, "preferredUsername")
	v.need(id != "", "actor without id")
	v.need(mastodonName.MatchString(name) && misskeyName.MatchString(name) && peerTubeName.MatchString(name) && len(name) <= 128, "preferredUsername %q", name)
	for _, k := range []string{"inbox", "outbox", "followers", "following"} {
		v.need(host(str(doc, k)) == host(id) && host(id) != "", "actor.%s must be on the actor's host", k)
	}
	_, hasSummary := doc["summary"].(string)
	v.need(hasSummary, "actor.summary must be a string")
	_, hasName := doc["name"].(string)
	v.need(hasName, "actor.name must be a string")
	_, approves := doc["manuallyApprovesFollowers"].(bool)
	v.need(approves, "manuallyApprovesFollowers must be a boolean")
	v.need(host(str(doc, "url")) != "", "actor.url must be a string")
	// Mastodon shows the id instead of a url on another host; in an Update that is only a pity.
	v.need(v.inside || v.d != Mastodon || host(str(doc, "url")) == host(id), "actor.url must be on the actor's host")
	key, ok := doc["publicKey"].(map[string]any)
	v.need(ok && str(key, "owner") == id && host(str(key, "id")) == host(id), "publicKey must be one object of this actor")
	v.need(strings.HasPrefix(str(key, "publicKeyPem"), "-----BEGIN PUBLIC KEY-----"), "publicKeyPem")
	if e, ok := doc["endpoints"].(map[string]any); ok {
		v.need(host(str(e, "sharedInbox")) == host(id), "sharedInbox must be on the actor's host")
	}
	for _, k := range []string{"attachment", "tag", "alsoKnownAs"} {
		if x, there := doc[k]; there {
			v.need(isList(x), "actor.%s must be an array", k)
		}
	}
	for _, k := range []string{"icon", "image"} {
		if x, there := doc[k]; there {
			m, ok := x.(map[string]any)
			_, plain := m["url"].(string)
			v.need(ok && plain, "actor.%s must be an object with a string url", k)
		}
	}
	v.context(doc)
	v.depth(doc)
}

func (v *validator) context(doc map[string]any) {
	if v.inside {
		return
	}
	first := doc["@context"]
	if l, ok := first.([]any); ok && len(l) > 0 {
		first = l[0]
	}
	v.need(first == asNS, "@context must begin with ActivityStreams")
}

// depth is Pixelfed's: json_decode(..., depth 8).
func (v *validator) depth(doc map[string]any) {
	if v.d == Pixelfed {
		v.need(deep(doc) <= 8, "nested deeper than 8")
	}
}

func deep(x any) int {
	n := 0
	switch x := x.(type) {
	case map[string]any:
		for _, e := range x {
			n = max(n, deep(e))
		}
	case []any:
		for _, e := range x {
			n = max(n, deep(e))
		}
	default:
		return 0
	}
	return n + 1
}
