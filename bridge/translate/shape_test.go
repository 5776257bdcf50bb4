package translate

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// checkActivity holds one activity to the rules that decide whether servers take it at all: one host, string ids, arrays
// where arrays are expected, the same audience inside and outside, shallow nesting, safe HTML.
func checkActivity(tb testing.TB, raw []byte) {
	tb.Helper()
	var a map[string]any
	if err := json.Unmarshal(raw, &a); err != nil {
		tb.Fatal(err)
	}
	if d := depth(a); d > 8 {
		tb.Errorf("nested %d deep; Pixelfed reads 8", d)
	}
	if ctx, ok := a["@context"].([]any); !ok || ctx[0] != as2Context {
		tb.Errorf("@context is %v", a["@context"])
	}
	id, actor := wantID(tb, a, "id"), wantID(tb, a, "actor")
	if hostOfID(id) != hostOfID(actor) {
		tb.Errorf("id %s and actor %s are on two hosts", id, actor)
	}
	checkAudience(tb, a)
	switch a["type"] {
	case "Like", "Announce", "Follow", "Block", "Join", "Leave", "Add", "Remove":
		wantID(tb, a, "object")
	case "Create", "Update":
		o, _ := a["object"].(map[string]any)
		if hostOfID(wantID(tb, o, "id")) != hostOfID(actor) {
			tb.Errorf("object is on another host: %v", o["id"])
		}
		checkObject(tb, a, o)
	case "Undo":
		o, _ := a["object"].(map[string]any)
		wantID(tb, o, "id")
		if o["actor"] != actor || o["type"] == nil {
			tb.Errorf("Undo of %v by %v", o, actor)
		}
	case "Delete":
	default:
		tb.Errorf("type %v", a["type"])
	}
}

func checkObject(tb testing.TB, a, o map[string]any) {
	tb.Helper()
	if o["@context"] != nil {
		tb.Error("@context inside the activity")
	}
	for _, key := range []string{"published", "updated", "startTime", "endTime"} {
		if s, ok := o[key].(string); ok {
			if _, valid := parseLexDate(s); !valid || !strings.HasSuffix(s, "Z") {
				tb.Errorf("%s is %q", key, s)
			}
		}
	}
	for _, key := range []string{"content", "summary"} {
		if s, ok := o[key].(string); ok {
			checkHTML(tb, s)
		}
	}
	if slices.Contains([]any{"Person", "Service"}, o["type"]) {
		checkActor(tb, o)
		return
	}
	checkAudience(tb, o)
	for _, key := range []string{"to", "cc"} {
		if !slices.Equal(a[key].([]any), o[key].([]any)) {
			tb.Errorf("%s differs between activity and object", key)
		}
	}
	wantID(tb, o, "attributedTo")
	if o["inReplyTo"] != nil {
		wantID(tb, o, "inReplyTo")
	}
	checkTags(tb, o)
	checkAttachments(tb, o)
}

func checkTags(tb testing.TB, o map[string]any) {
	tb.Helper()
	if o["tag"] == nil {
		return
	}
	for _, v := range o["tag"].([]any) {
		t := v.(map[string]any)
		href := wantID(tb, t, "href")
		name, _ := t["name"].(string)
		switch t["type"] {
		case "Mention":
			if !strings.HasPrefix(name, "@") || strings.Count(name, "@") != 2 {
				tb.Errorf("mention is called %q", name)
			}
			if !slices.Contains(o["cc"].([]any), any(href)) && href != o["attributedTo"] {
				tb.Errorf("%s is mentioned but not addressed", href)
			}
		case "Hashtag":
			if !strings.HasPrefix(name, "#") || len(name) < 2 {
				tb.Errorf("hashtag is called %q", name)
			}
		case "Link":
			if t["mediaType"] != as2MediaType || href != o["quote"] {
				tb.Errorf("quote link %v", t)
			}
		default:
			tb.Errorf("tag %v", t)
		}
	}
}

func checkAttachments(tb testing.TB, o map[string]any) {
	tb.Helper()
	if o["attachment"] == nil {
		return
	}
	for _, v := range o["attachment"].([]any) {
		m := v.(map[string]any)
		switch m["type"] {
		case "Image", "Video":
			wantID(tb, m, "url")
		case "Link":
			if href, _ := m["href"].(string); href == "" {
				tb.Errorf("attachment %v", m)
			}
		default:
			tb.Errorf("attachment %v", m)
		}
	}
}

// usernameForm is the intersection of what Mastodon, Misskey, PeerTube and Pixelfed take.
var usernameForm = regexp.MustCompile(`^[a-z0-9_]+([.-]+[a-z0-9_]+)*$`)

func checkActor(tb testing.TB, o map[string]any) {
	tb.Helper()
	for _, key := range []string{"id", "inbox", "outbox", "followers", "following", "featured", "url"} {
		wantID(tb, o, key)
	}
	if name, _ := o["preferredUsername"].(string); !usernameForm.MatchString(name) || len(name) > 128 {
		tb.Errorf("preferredUsername %q", name)
	}
	for _, key := range []string{"name", "summary"} {
		if _, ok := o[key].(string); !ok {
			tb.Errorf("%s is %v", key, o[key])
		}
	}
	if _, ok := o["manuallyApprovesFollowers"].(bool); !ok {
		tb.Error("manuallyApprovesFollowers is missing")
	}
	for _, v := range o["attachment"].([]any) {
		m := v.(map[string]any)
		if m["type"] != "PropertyValue" {
			tb.Errorf("attachment %v", m)
		}
		checkHTML(tb, m["value"].(string))
	}
}

func checkAudience(tb testing.TB, m map[string]any) {
	tb.Helper()
	for _, key := range []string{"to", "cc"} {
		list, ok := m[key].([]any)
		if !ok {
			tb.Errorf("%s is not an array: %v", key, m[key])
		}
		for i, v := range list {
			if _, ok := v.(string); !ok || slices.Contains(list[:i], v) {
				tb.Errorf("%s is %v", key, list)
			}
		}
	}
}

func wantID(tb testing.TB, m map[string]any, key string) string {
	tb.Helper()
	s, _ := m[key].(string)
	if hostOfID(s) == "" || strings.ContainsAny(s, " \n\t") {
		tb.Errorf("%s is %v", key, m[key])
	}
	return s
}

func hostOfID(id string) string {
	rest, ok := strings.CutPrefix(id, "https://")
	if !ok {
		rest, ok = strings.CutPrefix(id, "http://")
	}
	if !ok {
		return ""
	}
	host, _, _ := strings.Cut(rest, "/")
	return host
}

func depth(v any) int {
	deepest := 0
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v {
			deepest = max(deepest, depth(e))
		}
	case []any:
		for _, e := range v {
			deepest = max(deepest, depth(e))
		}
	default:
		return 0
	}
	return deepest + 1
}

// checkHTML reads HTML with a parser that is not ours and allows only what this package means to write.
func checkHTML(tb testing.TB, s string) {
	tb.Helper()
	z := html.NewTokenizer(strings.NewReader(s))
	var open []string
	for {
		switch z.Next() {
		case html.ErrorToken:
			if len(open) > 0 {
				tb.Errorf("unclosed %v in %q", open, s)
			}
			return
		case html.StartTagToken, html.SelfClosingTagToken:
			t := z.Token()
			checkTag(tb, t, open, s)
			if t.Data != "br" {
				open = append(open, t.Data)
			}
		case html.EndTagToken:
			t := z.Token()
			if len(open) == 0 || open[len(open)-1] != t.Data {
				tb.Errorf("</%s> closes %v in %q", t.Data, open, s)
				return
			}
			open = open[:len(open)-1]
		case html.CommentToken, html.DoctypeToken:
			tb.Errorf("comment in %q", s)
		}
	}
}

func checkTag(tb testing.TB, t html.Token, open []string, s string) {
	tb.Helper()
	if !slices.Contains([]string{"p", "br", "a", "span"}, t.Data) {
		tb.Errorf("<%s> in %q", t.Data, s)
	}
	if slices.Contains(open, t.Data) && t.Data != "span" || t.Data == "p" && len(open) > 0 {
		tb.Errorf("<%s> inside of %v in %q", t.Data, open, s)
	}
	for _, a := range t.Attr {
		switch a.Key {
		case "href":
			if _, ok := safeURL(a.Val); !ok {
				tb.Errorf("href %q", a.Val)
			}
		case "class", "rel", "target", "translate":
		default:
			tb.Errorf("attribute %s in %q", a.Key, s)
		}
	}
}
